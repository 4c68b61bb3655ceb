#pragma once

#include "lathe/cli/command_line.h"
#include "lathe/data/document_reader.h"

namespace lathe::cli {

/// The options that say how text files are to be read. `read` must live until the command has run.
void declare_reading(CommandLine app, data::ReadOptions& read);

}  // namespace lathe::cli
