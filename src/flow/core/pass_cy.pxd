# The fields of the classes in pass_cy.py, where that is compiled: what is `public` is seen by Python code, too.

cdef class Readable:
    pass


cdef class Pass:
    cdef public object stage
    cdef public object row
    cdef public bint full
    cdef public object failure
    cdef public object source
    cdef public object strand
    cdef public object scope
    cdef public object rows
    cdef object thread
    cdef bint seen
    cpdef ask(self)
    cpdef fetch(self)
    cdef take(self)


cdef object ENDED
cdef Pass _asked
cdef Pass _ask(object stage)
