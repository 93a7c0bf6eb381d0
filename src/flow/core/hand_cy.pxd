# The fields of the classes in hand_cy.py, where that is compiled: what is `public` is seen by Python code, too.
import cython


cdef class Place:
    cdef public object row
    cdef public object ready


cdef class Taker:
    cdef public object _thread
    cdef public object _hub
    cdef public Place _place
    cdef public object _ready
    cdef public object _came
    @cython.locals(place=Place)
    cpdef _take(self)


@cython.locals(place=Place)
cpdef hand_over(object rows, object thread, Place place)


cdef object _LATER
cdef object ROW
cdef tuple _NONE
cdef tuple _ROW
