"""The faces of other libraries: change the import, keep the code.

``from holdfast.compat.tenacity import retry`` has the names, arguments and exceptions of tenacity;
kernels of holdfast decide and count. Each module is named after the library whose face it is.
"""
