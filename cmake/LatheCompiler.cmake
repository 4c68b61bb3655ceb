# Flags every target of this project is compiled with; ccache and mold where present.
add_library(lathe_compiler INTERFACE)
target_compile_options(lathe_compiler INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers -Werror -ffp-contract=fast>
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-pass-failed>  # an omp simd loop that stays scalar is no error
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wshadow,-Werror -Werror=all-warnings>)

# What nearly every file reads of the standard library takes longer to compile than most files do, so each target has it
# precompiled. No header of the project is among these, and files list what they need all the same: debug, the sanitizers'
# presets and tidy build without.
set(LATHE_STANDARD_HEADERS <algorithm> <array> <cmath> <cstring> <filesystem> <functional> <map> <memory> <optional> <span>
                           <string> <string_view> <unordered_map> <vector>)
if(NOT (LATHE_FUZZ OR (CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE STREQUAL "Release")))
  set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)
endif()

find_program(LATHE_CCACHE ccache)
if(LATHE_CCACHE)  # it keeps nothing that was compiled with precompiled headers, unless told that no source looks at __TIME__
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${LATHE_CCACHE})
endif()
find_program(LATHE_MOLD mold)
if(LATHE_MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_link_options(-fuse-ld=mold)
endif()

set(LATHE_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them (address, undefined, thread)")
if(LATHE_SANITIZE)
  add_compile_options(-fsanitize=${LATHE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${LATHE_SANITIZE})
  # GCC 12 sees some in std::vector, std::optional and std::function
  add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-free-nonheap-object>
                      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
endif()
if(LATHE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
