#include <algorithm>
#include <iterator>

#include "lathe/tokenize/cut_text.h"
#include "lathe/tokenize/parallel.h"
#include "lathe/tokenize/parts.h"

namespace lathe {
namespace {

constexpr size_t kPiece = size_t{1} << 17;  // bytes of a text that one thread takes at once

/// Part of texts[text]; its ids go behind those of the part before.
struct Piece {
  size_t text;
  std::string_view part;
  tokenize::Edges edges;
  std::vector<TokenId> ids;
};

std::vector<Piece> make_pieces(std::span<const std::string_view> texts, bool may_cut) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string_view rest = texts[i];
    bool first = true;
    while (may_cut && rest.size() > 2 * kPiece) {
      const size_t cut = tokenize::cut_behind(rest, kPiece);
      pieces.push_back({i, rest.substr(0, cut), {first, cut == rest.size(), first}, {}});
      rest.remove_prefix(cut);
      first = false;
    }
    if (!rest.empty()) pieces.push_back({i, rest, {first, true, first}, {}});
  }
  return pieces;
}

}  // namespace

std::vector<std::vector<TokenId>> Tokenizer::encode_batch(std::span<const std::string_view> texts, int threads) const {
  const bool may_cut = parts_->encoder.may_cut() && parts_->in_raw_text.keeps_off_spaces();
  std::vector<Piece> pieces = make_pieces(texts, may_cut);
  tokenize::for_each_parallel(pieces.size(), threads, [&](size_t i) {
    pieces[i].ids.reserve(pieces[i].part.size() / 3);
    tokenize::encode_segments(*parts_, pieces[i].part, pieces[i].edges, pieces[i].ids);
  });
  std::vector<std::vector<TokenId>> all(texts.size());
  for (Piece& piece : pieces) {
    std::vector<TokenId>& ids = all[piece.text];
    if (ids.empty()) {
      ids = std::move(piece.ids);
    } else {  // not insert(), in whose range GCC 13 sees an overflow
      ids.resize(ids.size() + piece.ids.size());
      std::copy(piece.ids.begin(), piece.ids.end(), ids.end() - std::ssize(piece.ids));
    }
  }
  return all;
}

}  // namespace lathe
