#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lathe/tokenize/parts.h"
#include "lathe/tokenize/skeletons.h"

namespace lathe::tokenize {

/// What a piece is, numbered as in SentencePiece's files and in GGUF.
enum class PieceType : uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct Piece {
  std::string_view text;
  float score = 0;
  PieceType type = PieceType::normal;
};

/// Pieces and settings of a SentencePiece vocabulary, wherever they stood.
struct SentencePieceModel {
  std::vector<Piece> pieces;  // by id; their texts must outlive the call
  SentencePieceOptions options;
};

/// A tokenizer of them. Control and unknown tokens become special added tokens, user-defined ones added tokens.
std::unique_ptr<Tokenizer::Parts> sentencepiece_tokenizer(SentencePieceModel model, const std::string& name);

/// Added tokens as their types say.
std::vector<AddedToken> added_pieces(const std::vector<Piece>& pieces);

/// Puts them into a vocabulary. Throws Error, naming `name`, for pieces that are not UTF-8.
Vocabulary piece_vocabulary(const std::vector<Piece>& pieces, const std::string& name);

}  // namespace lathe::tokenize
