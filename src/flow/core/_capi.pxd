# What the compiled core takes from C, declared once.
#
# This is the only C that is written by hand, and the only place where references are counted by hand. In flow_send,
# `ended` stands for the end of the generator, so that the end costs no StopIteration that somebody would have to catch.

cdef extern from *:
    """
    #ifndef FLOW_SOURCE
    #define FLOW_SOURCE ""
    #endif

    static CYTHON_UNUSED PyObject *flow_send(PyObject *source, PyObject *value, PyObject *ended) {
        PyObject *result = NULL;
        switch (PyIter_Send(source, value, &result)) {
        case PYGEN_NEXT:
            return result;
        case PYGEN_RETURN:
            Py_DECREF(result);
            Py_INCREF(ended);
            return ended;
        default:
            return NULL;
        }
    }

    /* greenlet's functions for C, by their numbers in its greenlet.h, which is not needed to build this. A call of
       `greenlet.getcurrent` from C costs twice as much as what it does (test_build.py::test_greenlets_numbers). */
    #define FLOW_GREENLET_NEW 3
    #define FLOW_GREENLET_GETCURRENT 4
    #define FLOW_GREENLET_SWITCH 6
    #define FLOW_GREENLET_GET_PARENT 11
    typedef PyObject *(*flow_new)(PyObject *run, PyObject *parent);
    typedef PyObject *(*flow_get)(void);
    typedef PyObject *(*flow_go)(PyObject *greenlet, PyObject *arguments, PyObject *named);
    typedef PyObject *(*flow_get_of)(PyObject *greenlet);
    static void **flow_greenlet = NULL;

    /* Who runs, as it was found last, and where. A switch of stacks always changes the version of the context of its
       thread, since each greenlet has a context of its own: as long as that is the same, the greenlet is, and it lives,
       since it runs (tests/core/test_pass.py). That it does change is tried out before this is relied upon. */
    static struct {
        PyThreadState *thread;
        uint64_t id, version;
        PyObject *greenlet;
    } flow_here = {NULL, 0, 0, NULL};
    static int flow_switches_show = 0;

    static CYTHON_UNUSED void flow_is(PyObject *greenlet) {
        PyThreadState *thread = PyThreadState_Get();
        if (flow_switches_show) {
            flow_here.thread = thread;
            flow_here.id = thread->id;
            flow_here.version = thread->context_ver;
            flow_here.greenlet = greenlet;
        }
    }

    static CYTHON_UNUSED int flow_find_greenlet(void) {
        void **found = (void **)PyCapsule_Import("greenlet._C_API", 0);
        uint64_t version = PyThreadState_Get()->context_ver;
        PyObject *other, *came;
        if (found == NULL)
            return -1;
        other = ((flow_new)found[FLOW_GREENLET_NEW])((PyObject *)&PyLong_Type, NULL);
        came = other ? ((flow_go)found[FLOW_GREENLET_SWITCH])(other, NULL, NULL) : NULL;
        Py_XDECREF(other);
        if (came == NULL)
            return -1;
        Py_DECREF(came);
        flow_switches_show = PyThreadState_Get()->context_ver - version > 1;  /* there, and back */
        flow_greenlet = found;
        return 0;
    }

    static CYTHON_UNUSED PyObject *flow_getcurrent(void) {
        PyThreadState *thread = PyThreadState_Get();
        PyObject *found;
        if (thread->context_ver == flow_here.version && thread == flow_here.thread && thread->id == flow_here.id) {
            Py_INCREF(flow_here.greenlet);
            return flow_here.greenlet;
        }
        if (flow_greenlet == NULL && flow_find_greenlet() < 0)
            return NULL;
        found = ((flow_get)flow_greenlet[FLOW_GREENLET_GETCURRENT])();
        if (found != NULL)
            flow_is(found);
        return found;
    }

    static CYTHON_UNUSED PyObject *flow_switch(PyObject *greenlet, PyObject *arguments) {
        PyObject *here = flow_getcurrent();
        PyObject *came;
        if (here == NULL)
            return NULL;
        came = ((flow_go)flow_greenlet[FLOW_GREENLET_SWITCH])(greenlet, arguments, NULL);
        flow_is(here);  /* a switch comes back to who made it */
        Py_DECREF(here);
        return came;
    }

    static CYTHON_UNUSED PyObject *flow_switch_to_parent(PyObject *greenlet, PyObject *arguments) {
        PyObject *parent, *came;
        if (flow_greenlet == NULL && flow_find_greenlet() < 0)
            return NULL;
        parent = ((flow_get_of)flow_greenlet[FLOW_GREENLET_GET_PARENT])(greenlet);
        came = parent ? flow_switch(parent, arguments) : NULL;
        Py_XDECREF(parent);
        return came;
    }

    /* A class in Python that has its ``__next__`` from a class in C finds it by name, at each call. If it is `base`'s,
       the class gets the function itself, as it would of a class that is written in C by hand. */
    static CYTHON_UNUSED int flow_inherit_next(PyObject *cls, PyObject *base) {
        PyObject *own = PyObject_GetAttrString(cls, "__next__");
        PyObject *inherited = own ? PyObject_GetAttrString(base, "__next__") : NULL;
        if (inherited && own == inherited)
            ((PyTypeObject *)cls)->tp_iternext = ((PyTypeObject *)base)->tp_iternext;
        Py_XDECREF(own);
        Py_XDECREF(inherited);
        return inherited ? 0 : -1;
    }
    """
    const char *FLOW_SOURCE
    object flow_getcurrent()
    object flow_switch(object greenlet, object arguments)
    object flow_switch_to_parent(object greenlet, object arguments)
    object flow_send(object source, object value, object ended)
    int flow_inherit_next(object cls, object base) except -1
