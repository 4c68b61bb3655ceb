#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// out[i] = first[first_ids[i]] + second[second_ids[i]]; tables of one floating type, ids i32 [rows].
constinit inline Kernel<void(const Tensor& first_ids, const Tensor& first, const Tensor& second_ids,
                             const Tensor& second, Tensor& out)>
    embedding_sum_kernel{"embedding_sum"};

/// Row ids[i] of `table` for each token.
///   ids i32 [tokens], table floating [vocabulary, columns] -> [tokens, columns] of the table's type
/// Ids are not checked here: the loader does. Differentiable in table: its f32 gradient is written in place where the
/// leaf offers it (then only rows that occur are touched, if it adds), with the same bits for any number of threads.
Tensor embedding(const Tensor& ids, const Tensor& table);

/// embedding(ids, table) + embedding(positions, position_table) in one pass, rounded once.
Tensor embedding_sum(const Tensor& ids, const Tensor& table, const Tensor& positions, const Tensor& position_table);

}  // namespace lathe
