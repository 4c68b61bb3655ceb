#pragma once

#include <functional>

#include "lathe/comm/communicator.h"

namespace lathe {

/// Runs `body` once for each of `size` ranks, each a thread with a Runtime of its own and one OpenMP thread, and waits.
/// Then throws what the first rank threw that did not fail because of another.
void on_ranks(int size, const std::function<void(Communicator& ranks)>& body);

/// A mesh whose tensor, or data, axis is `ranks`; the others are groups of one.
Mesh tensor_mesh(Communicator& ranks);
Mesh data_mesh(Communicator& ranks);

}  // namespace lathe
