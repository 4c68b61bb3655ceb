#pragma once

#include <cstdint>
#include <string>

#include "lathe/train/trainer.h"

namespace lathe {

/// A checkpoint is a directory: a Hugging Face model (config.json, model.safetensors in f32, tokenizer files) and what
/// training needs beside it to go on with the same bits: job.toml, training_state.json and optimizer/model.safetensors
/// with the moments, under the weights' own names. It does not depend on how the model is laid out in memory.

/// Writes everything but makes it durable only as far as publish_directory() does. `tokenizer` is the directory that
/// tokenizer files are copied from, and the tokens that config.json names where the job names none; empty: none.
void write_snapshot(const std::string& directory, Trainer& trainer, int64_t step, const std::string& tokenizer);

/// Fills `trainer` from `directory`; returns the step. Throws Error when something does not fit the job. Checksums are
/// not looked at: see verify_manifest().
int64_t read_snapshot(const std::string& directory, Trainer& trainer);

/// Bytes that a checkpoint takes on disk, to within its small files; also on meta.
int64_t snapshot_bytes(Trainer& trainer);

}  // namespace lathe
