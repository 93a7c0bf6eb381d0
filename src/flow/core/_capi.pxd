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
    #define FLOW_GREENLET_GETCURRENT 4
    static void **flow_greenlet = NULL;

    /* What was found last, and where: a switch of stacks always changes the version of the context of its thread, since
       each greenlet has a context of its own. So as long as that is the same, the greenlet is; and it lives, since it
       runs. That it does change is tried out when this is imported: see `flow_watch_switches`. */
    static struct {
        PyThreadState *thread;
        uint64_t id, version;
        PyObject *greenlet;
    } flow_here = {NULL, 0, 0, NULL};
    static int flow_switches_seen = 0;

    static CYTHON_UNUSED PyObject *flow_getcurrent(void) {
        PyThreadState *thread = PyThreadState_Get();
        PyObject *found;
        if (thread->context_ver == flow_here.version && thread == flow_here.thread && thread->id == flow_here.id) {
            Py_INCREF(flow_here.greenlet);
            return flow_here.greenlet;
        }
        if (flow_greenlet == NULL && (flow_greenlet = (void **)PyCapsule_Import("greenlet._C_API", 0)) == NULL)
            return NULL;
        found = ((PyObject *(*)(void))flow_greenlet[FLOW_GREENLET_GETCURRENT])();
        if (found != NULL && flow_switches_seen) {
            flow_here.thread = thread;
            flow_here.id = thread->id;
            flow_here.version = thread->context_ver;
            flow_here.greenlet = found;
        }
        return found;
    }

    static CYTHON_UNUSED int flow_is_here(PyObject *greenlet) {
        PyObject *found = flow_getcurrent();
        if (found == NULL)
            return -1;
        Py_DECREF(found);  /* it runs, so this is not the last reference */
        return found == greenlet;
    }

    /* `there` is called, and switches to another greenlet and back. */
    static CYTHON_UNUSED int flow_watch_switches(PyObject *there) {
        uint64_t version = PyThreadState_Get()->context_ver;
        PyObject *found = PyObject_CallNoArgs(there);
        if (found == NULL)
            return -1;
        Py_DECREF(found);
        flow_switches_seen = PyThreadState_Get()->context_ver - version > 1;
        return 0;
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
    bint flow_is_here(object greenlet) except -1
    int flow_watch_switches(object there) except -1
    object flow_send(object source, object value, object ended)
    int flow_inherit_next(object cls, object base) except -1
