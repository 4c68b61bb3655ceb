# The CUDA plugin lathe_cuda.so: every lathe/**/*.cu. The program loads it at run time from the
# folder of liblathe.so and links none of it; the plugin takes kernels, runtime and errors from liblathe.so.
include(CheckLanguage)
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)  # before enable_language, which would set its own
  set(CMAKE_CUDA_ARCHITECTURES 90a-real)
endif()
if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(CMAKE_CUDA_COMPILER nvcc HINTS /usr/local/cuda/bin REQUIRED)
endif()
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25.1 does not know nvcc's flag
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
find_package(CUDAToolkit 13 REQUIRED)

file(GLOB_RECURSE LATHE_CUDA_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/lathe/*.cu)
add_library(lathe_cuda MODULE ${LATHE_CUDA_SOURCES})
set_target_properties(lathe_cuda PROPERTIES
  PREFIX "" LIBRARY_OUTPUT_DIRECTORY $<TARGET_FILE_DIR:lathe>
  BUILD_RPATH "${CUDAToolkit_LIBRARY_DIR}" INSTALL_RPATH "$ORIGIN;${CUDAToolkit_LIBRARY_DIR}")
target_compile_options(lathe_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>)
if(CMAKE_CUDA_ARCHITECTURES MATCHES "90a")
  target_compile_definitions(lathe_cuda PRIVATE LATHE_SM_90A)
endif()
target_link_libraries(lathe_cuda PRIVATE lathe lathe_compiler CUDA::cudart CUDA::cublasLt)
install(TARGETS lathe_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

# Attention by cuDNN, whose library is opened at run time and may be missing there: needs its headers, which come with the
# toolkit, and those of its frontend. The file has no kernels; nvcc would take minutes for the headers.
find_path(LATHE_CUDNN_INCLUDE cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_path(LATHE_CUDNN_FRONTEND_INCLUDE cudnn_frontend.h HINTS ${PROJECT_SOURCE_DIR}/build/cudnn-frontend/include)
set_source_files_properties(${PROJECT_SOURCE_DIR}/lathe/ops/attention_cudnn.cu PROPERTIES LANGUAGE CXX)
if(LATHE_CUDNN_INCLUDE AND LATHE_CUDNN_FRONTEND_INCLUDE)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/lathe/ops/attention_cudnn.cu PROPERTIES
    COMPILE_DEFINITIONS LATHE_CUDNN
    COMPILE_OPTIONS "-w;-isystem;${LATHE_CUDNN_FRONTEND_INCLUDE};-isystem;${LATHE_CUDNN_INCLUDE}")
else()
  message(STATUS "cuDNN's headers are missing, so attention is all by lathe's kernels; script/setup --cuda gets them")
endif()
