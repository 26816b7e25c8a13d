/* The text of a key, put together on the stack where it fits. */
#include "limits.h"

#include <string.h>

static int
grow(hf_text *t, size_t more)
{
    size_t room = 2 * t->room;
    while (room < t->length + more)
        room *= 2;
    char *at = PyMem_RawMalloc(room);
    if (at == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(at, t->at, t->length);
    hf_text_end(t);
    t->at = at;
    t->room = room;
    return 0;
}

int
hf_text_add(hf_text *t, const char *text, size_t length)
{
    if (length > t->room - t->length && grow(t, length) < 0)
        return -1;
    memcpy(t->at + t->length, text, length);
    t->length += length;
    return 0;
}

static int
add_str(hf_text *t, PyObject *str)
{
    Py_ssize_t length;
    if (PyUnicode_IS_COMPACT_ASCII(str))
        return hf_text_add(t, (const char *)PyUnicode_DATA(str), (size_t)PyUnicode_GET_LENGTH(str));
    const char *text = PyUnicode_AsUTF8AndSize(str, &length);
    if (text != NULL)
        return hf_text_add(t, text, (size_t)length);
    PyErr_Clear(); /* half of a surrogate pair, which is a text to Python all the same */
    PyObject *bytes = PyUnicode_AsEncodedString(str, "utf-8", "surrogatepass");
    if (bytes == NULL)
        return -1;
    const int answer = hf_text_add(t, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return answer;
}

static int
add_number(hf_text *t, long long number)
{
    char digits[20]; /* of -2^63 */
    char *at = digits + sizeof digits;
    unsigned long long left =
        number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;
    do
        *--at = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (number < 0)
        *--at = '-';
    return hf_text_add(t, at, (size_t)(digits + sizeof digits - at));
}

/* A str as it is, bytes decoded, of anything else str(). */
int
hf_text_add_object(hf_text *t, PyObject *object)
{
    if (PyUnicode_CheckExact(object))
        return add_str(t, object);
    if (PyLong_CheckExact(object)) {
        int overflow;
        const long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
        if (!overflow)
            return add_number(t, number);
    }
    PyObject *str = PyBytes_Check(object) ? PyUnicode_DecodeUTF8(PyBytes_AS_STRING(object),
                                                                 PyBytes_GET_SIZE(object), NULL)
                                          : PyObject_Str(object);
    if (str == NULL)
        return -1;
    const int answer = add_str(t, str);
    Py_DECREF(str);
    return answer;
}
