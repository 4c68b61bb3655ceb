#pragma once

#include <string>

#include "lathe/base/error.h"

namespace lathe {

/// The message of the Error that `action` throws; empty when it throws none.
template <class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace lathe
