#include <algorithm>
#include <utility>

#include "lathe/base/error.h"
#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/marked_text.h"
#include "lathe/tokenize/parts.h"

namespace lathe {
namespace {

/// Encodes what is marked as ordinary text, together with the unmarked text around it up to the next added token.
class MarkedEncoder {
 public:
  MarkedEncoder(const Tokenizer& tokenizer, const tokenize::AddedTokenFinder& in_raw_text, std::vector<TokenId>& ids)
      : tokenizer_(tokenizer), in_raw_text_(in_raw_text), ids_(ids) {
    for (const AddedToken& token : tokenizer.added_tokens())
      if (token.normalized && !token.content.empty()) others_.add(token.content, token);
  }

  void encode(const MarkedText& text) {
    each_segment(in_raw_text_, text, [&](const MarkedText& part) {
      if (part.marked().empty()) return tokenizer_.encode(part.bytes(), ids_);
      each_segment(others_, part, [&](const MarkedText& stretch) { encode_ordinary(stretch.bytes()); });
    });
  }

 private:
  const Tokenizer& tokenizer_;
  const tokenize::AddedTokenFinder& in_raw_text_;
  tokenize::AddedTokenFinder others_;  ///< looked for in normalized text; where some is marked, before that, as spelt
  std::vector<TokenId>& ids_;

  /// Appends the tokens that `finder` finds in unmarked text; the rest goes to `use`.
  template <class Use>
  void each_segment(const tokenize::AddedTokenFinder& finder, const MarkedText& text, Use use) {
    for (size_t offset = 0; offset < text.size();) {
      const size_t begin = offset;
      const tokenize::Segment segment = finder.next(text.bytes(), offset, text.marked());
      segment.token ? ids_.push_back(segment.token->id) : use(text.part(begin, offset));
    }
  }

  bool any_special(size_t from) const {
    return std::any_of(ids_.begin() + std::ptrdiff_t(from), ids_.end(),
                       [&](TokenId id) { return tokenizer_.is_special(id) && id != tokenizer_.unknown_token(); });
  }

  /// A model of whole words or pieces may have a control token in its vocabulary and find it without looking for added
  /// tokens; the text is then cut inside each place that spells one.
  void encode_ordinary(std::string_view text) {
    const size_t before = ids_.size();
    tokenizer_.encode_ordinary(text, ids_);
    for (const tokenize::AddedTokenFinder* finder : {&in_raw_text_, &std::as_const(others_)}) {
      if (!any_special(before)) return;
      ids_.resize(before);
      encode_cut(*finder, text);
    }
    require(!any_special(before), "this tokenizer makes a control token of ordinary text");
  }

  void encode_cut(const tokenize::AddedTokenFinder& finder, std::string_view text) {
    size_t from = 0;
    for (size_t offset = 0; offset < text.size();) {
      const size_t begin = offset;
      if (!finder.next(text, offset).token) continue;
      const size_t first = tokenize::character_at(text.data() + begin, text.data() + text.size()).bytes;
      tokenizer_.encode_ordinary(text.substr(from, begin + first - from), ids_);
      from = begin + first;
    }
    tokenizer_.encode_ordinary(text.substr(from), ids_);
  }
};

}  // namespace

void Tokenizer::encode_marked(const MarkedText& text, std::vector<TokenId>& ids) const {
  MarkedEncoder(*this, parts_->in_raw_text, ids).encode(text);
}

}  // namespace lathe
