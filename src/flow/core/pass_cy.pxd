# The fields of the classes in pass_cy.py, where that is compiled: what is `public` is seen by Python code, too.
import cython


cdef class Obeyed


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
    cdef object interrupt
    cdef Obeyed obeyed
    cpdef ask(self)
    cpdef fetch(self)
    cdef bint answer(self) except -1
    cdef take(self)


cdef class Obeyed:
    cdef object rows
    cdef object fair
    cdef Py_ssize_t left
    cdef set plain
    cdef object classify
    cdef object first
    cdef object known
    cdef Pass reading
    cdef bint odd
    @cython.locals(reading=Pass, row=object)
    cdef take(self)
    cdef begin(self)
    cdef tuple obey(self, object row)
    cdef interrupted(self)
    cdef thrown(self, object error)


cdef object ENDED
cdef Pass _asked
cdef Pass _ask(object stage)
