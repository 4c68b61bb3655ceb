#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/marked_text.h"
#include "lathe/tokenize/parts.h"

namespace lathe {
namespace {

using tokenize::Edges;

/// Encodes what is marked as ordinary text, together with the unmarked text around it up to the next added token.
class MarkedEncoder {
 public:
  MarkedEncoder(const Tokenizer& tokenizer, const Tokenizer::Parts& parts, std::vector<TokenId>& ids)
      : tokenizer_(tokenizer), parts_(parts), ids_(ids) {
    for (const AddedToken& token : parts.added)
      if (token.normalized && !token.content.empty()) others_.add(token.content, token);
  }

  void encode(const MarkedText& text) {
    each_segment(parts_.in_raw_text, text, {}, [&](const MarkedText& part, Edges edges) {
      edges.front = edges.back = true;  // what lies between two of these tokens is normalized as one
      if (part.marked().empty()) return parts_.encoder.encode(part.bytes(), edges, true, ids_);
      each_segment(others_, part, edges,
                   [&](const MarkedText& stretch, Edges within) { encode_ordinary(stretch.bytes(), within); });
    });
  }

 private:
  const Tokenizer& tokenizer_;
  const Tokenizer::Parts& parts_;
  tokenize::AddedTokenFinder others_;  ///< looked for in normalized text; where some is marked, before that, as spelt
  std::vector<TokenId>& ids_;

  /// The edges of a part of a stretch with `edges`.
  static Edges inner(Edges edges, bool first, bool last) {
    return {edges.front && first, edges.back && last, edges.start && first};
  }

  /// Appends the tokens that `finder` finds in unmarked text; the rest goes to `use`.
  template <class Use>
  void each_segment(const tokenize::AddedTokenFinder& finder, const MarkedText& text, Edges edges, Use use) {
    for (size_t offset = 0; offset < text.size();) {
      const size_t begin = offset;
      const tokenize::Segment segment = finder.next(text.bytes(), offset, text.marked());
      if (segment.token)
        ids_.push_back(segment.token->id);
      else
        use(text.part(begin, offset), inner(edges, begin == 0, offset == text.size()));
    }
  }

  bool any_special(size_t from) const {
    return std::any_of(ids_.begin() + std::ptrdiff_t(from), ids_.end(),
                       [&](TokenId id) { return tokenizer_.is_special(id) && id != parts_.unknown; });
  }

  /// A model of whole words or pieces may have a control token in its vocabulary and find it without looking for added
  /// tokens; the text is then cut inside each place that spells one.
  void encode_ordinary(std::string_view text, Edges edges) {
    const size_t before = ids_.size();
    parts_.encoder.encode(text, edges, false, ids_);
    const tokenize::AddedTokenFinder* finders[] = {&parts_.in_raw_text, &others_};
    for (const tokenize::AddedTokenFinder* finder : finders) {
      if (!any_special(before)) return;
      ids_.resize(before);
      encode_cut(*finder, text, edges);
    }
    require(!any_special(before), "this tokenizer makes a control token of ordinary text");
  }

  void encode_cut(const tokenize::AddedTokenFinder& finder, std::string_view text, Edges edges) {
    size_t from = 0;
    for (size_t offset = 0; offset < text.size();) {
      const size_t begin = offset;
      if (!finder.next(text, offset).token) continue;
      const size_t first = tokenize::character_at(text.data() + begin, text.data() + text.size()).bytes;
      parts_.encoder.encode(text.substr(from, begin + first - from), inner(edges, from == 0, false), false, ids_);
      from = begin + first;
    }
    parts_.encoder.encode(text.substr(from), inner(edges, from == 0, true), false, ids_);
  }
};

}  // namespace

void Tokenizer::encode_marked(const MarkedText& text, std::vector<TokenId>& ids) const {
  MarkedEncoder(*this, *parts_, ids).encode(text);
}

}  // namespace lathe
