# What the compiled core takes from C, declared once.
#
# flow_send is the only C that is written by hand, and the only place where references are counted by hand. `ended`
# stands for the end of the generator, so that the end costs no StopIteration that somebody would have to catch.

cdef extern from *:
    """
    #ifndef FLOW_SOURCE
    #define FLOW_SOURCE ""
    #endif

    static PyObject *flow_send(PyObject *source, PyObject *value, PyObject *ended) {
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
    """
    const char *FLOW_SOURCE
    object flow_send(object source, object value, object ended)
