# What both builds share (the extension modules here, the C tests in tests/c):
# warnings, sanitizers and coverage, each as a function over one target.
option(HOLDFAST_WERROR "Treat warnings in our own C as errors" OFF)
set(HOLDFAST_SANITIZE "" CACHE STRING "thread or address; empty: none")
option(HOLDFAST_COVERAGE "Instrument our C for gcov" OFF)

function(holdfast_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra)
  if(HOLDFAST_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

function(holdfast_instrument target)
  set(flags)
  if(HOLDFAST_SANITIZE STREQUAL "thread")
    list(APPEND flags -fsanitize=thread)
  elseif(HOLDFAST_SANITIZE STREQUAL "address")
    # Undefined behaviour is looked for in the same run; it is to stop the run as well.
    list(APPEND flags -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  elseif(HOLDFAST_SANITIZE)
    message(FATAL_ERROR "HOLDFAST_SANITIZE is '${HOLDFAST_SANITIZE}'; allowed: thread, address")
  endif()
  if(HOLDFAST_COVERAGE)
    # The tests have threads, and plain counters of theirs would lose counts and go below zero.
    list(APPEND flags --coverage -fprofile-update=atomic)
  endif()
  if(flags)
    target_compile_options(${target} PRIVATE ${flags} -g -O1 -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE ${flags})
  endif()
endfunction()
