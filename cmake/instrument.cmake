# What both builds share (the extension modules here, the C tests in tests/c):
# warnings, sanitizers and coverage, optimisation, each as a function over one target.
option(HOLDFAST_WERROR "Treat warnings in our own C as errors" OFF)
set(HOLDFAST_SANITIZE "" CACHE STRING "thread, address or heap; empty: none")
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
  elseif(HOLDFAST_SANITIZE MATCHES "^(address|heap)$")
    # Undefined behaviour is looked for in the same run; it is to stop the run as well.
    list(APPEND flags -fsanitize=address,undefined -fno-sanitize-recover=undefined)
    if(HOLDFAST_SANITIZE STREQUAL "heap")
      # Nothing is marked on the stack, so whoever switches stacks (greenlets) can be followed.
      list(APPEND flags --param=asan-stack=0)
    endif()
  elseif(HOLDFAST_SANITIZE)
    message(FATAL_ERROR "HOLDFAST_SANITIZE is '${HOLDFAST_SANITIZE}'; allowed: thread, address, heap")
  endif()
  if(HOLDFAST_COVERAGE)
    # The tests have threads, and plain counters of theirs would lose counts and go below zero.
    list(APPEND flags --coverage -fprofile-update=atomic)
  endif()
  if(flags)
    # Assertions are looked at in the same run.
    target_compile_options(${target} PRIVATE ${flags} -UNDEBUG -g -O1 -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE ${flags})
  endif()
endfunction()

# For what is in the path of every guarded call: inlining over all its files, and the interpreter's
# functions reached without a jump table. Fields are copied one by one: a processor cannot forward two
# that were just stored apart to one load of both, which costs a call some 4 ns each time. What is
# instrumented is left as it is.
function(holdfast_optimise target)
  if(HOLDFAST_SANITIZE OR HOLDFAST_COVERAGE OR NOT CMAKE_BUILD_TYPE STREQUAL "Release")
    return()
  endif()
  include(CheckCCompilerFlag)
  foreach(flag -O3 -fno-plt -fno-tree-slp-vectorize)
    string(MAKE_C_IDENTIFIER "HAS${flag}" has)
    check_c_compiler_flag(${flag} ${has})
    if(${has})
      target_compile_options(${target} PRIVATE ${flag})
    endif()
  endforeach()
  include(CheckIPOSupported)
  check_ipo_supported(RESULT whole LANGUAGES C)
  set_property(TARGET ${target} PROPERTY INTERPROCEDURAL_OPTIMIZATION ${whole})
  target_compile_definitions(${target} PRIVATE HF_LTO=$<BOOL:${whole}>)
  message(STATUS "${target}: link-time optimisation ${whole}")
endfunction()
