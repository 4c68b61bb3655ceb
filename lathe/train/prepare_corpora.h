#pragma once

#include "lathe/train/job.h"

namespace lathe {

/// Makes the token shards that `job` names but that are not there yet, from the text it names for them. The tokenizer
/// is the job's, else that of its shards that are there, else one trained on the text, kept beside the shards. Throws
/// Error as reading, training and data::prepare() do; shards are there whole or not at all.
void prepare_missing_corpora(const JobSettings& job);

}  // namespace lathe
