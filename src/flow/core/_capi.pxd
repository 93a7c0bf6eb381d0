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
    object flow_send(object source, object value, object ended)
    int flow_inherit_next(object cls, object base) except -1
