#include "lathe/base/error.h"

namespace lathe {

InternalError::InternalError(const std::string& message, const char* file, int line)
    : std::logic_error(text("internal error: ", message, " (", file, ":", line, ")")) {}

}  // namespace lathe
