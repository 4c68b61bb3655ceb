#pragma once

#include "lathe/data/document_reader.h"

namespace CLI {
class App;
}

namespace lathe::cli {

/// The options that say how text files are to be read. `read` must live until the command has run.
void declare_reading(CLI::App& app, data::ReadOptions& read);

}  // namespace lathe::cli
