# The fields of the classes in hand_cy.py, where that is compiled: what is `public` is seen by Python code, too.
import cython


cdef class Place:
    cdef public object row
    cdef public object ready


cdef class Taker:
    cdef public object thread
    cdef public object hub
    cdef public Place place
    cdef public object ready
    cdef public object came
    @cython.locals(place=Place)
    cpdef take(self)


@cython.locals(place=Place)
cpdef hand_over(object rows, object thread, Place place)


cdef object _LATER
cdef object ROW
cdef tuple _NONE
cdef tuple _ROW
