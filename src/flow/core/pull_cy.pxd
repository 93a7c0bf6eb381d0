# The fields of the classes in pull_cy.py, where that is compiled.

cdef object ENDED

cdef class Fair:
    cdef object rows
    cdef object strand
    cdef object run
    cdef object clock
    cdef double quick
    cdef double then
    cdef Py_ssize_t most
    cdef Py_ssize_t size
    cdef Py_ssize_t left
    cpdef Py_ssize_t look(self) except -1
