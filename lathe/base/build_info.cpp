#include "lathe/base/build_info.h"

#include "lathe/base/error.h"
#include "lathe/base/isa.h"
#include "lathe/base/threads.h"

#ifndef LATHE_VERSION
#define LATHE_VERSION "unknown"
#endif
#ifndef __has_feature  // clang's way to tell; GCC defines __SANITIZE_...
#define __has_feature(name) 0
#endif

namespace lathe {
namespace {

std::string compiler() {
#if defined(__clang__)
  return text("clang++ ", __clang_major__, '.', __clang_minor__, '.', __clang_patchlevel__);
#else
  return text("g++ ", __GNUC__, '.', __GNUC_MINOR__, '.', __GNUC_PATCHLEVEL__);
#endif
}

std::string build_type() {
#ifdef NDEBUG
  std::string type = "release";
#else
  std::string type = "debug";
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
  type += ", address sanitizer";
#elif defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
  type += ", thread sanitizer";
#endif
  return type;
}

}  // namespace

BuildInfo build_info() { return {.version = LATHE_VERSION, .compiler = compiler(), .build_type = build_type()}; }

std::string version_text() {
  BuildInfo build = build_info();
  return text("lathe ", build.version, "\n", build.build_type, " build by ", build.compiler, "; instruction set ",
              isa_name(isa()), "; ", threads(), threads() == 1 ? " thread" : " threads");
}

}  // namespace lathe
