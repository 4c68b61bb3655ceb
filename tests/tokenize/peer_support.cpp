#include "tests/tokenize/peer_support.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "lathe/base/error.h"
#include "lathe/base/text_input.h"
#include "tests/support/program.h"

namespace lathe::test {
namespace {

// Lists of byte strings pass as files: each is its length in 4 bytes and its bytes.
constexpr const char* kExchange = R"(
import struct, sys
def read(path):
    data, at, out = open(path, 'rb').read(), 0, []
    while at < len(data):
        n = struct.unpack_from('<I', data, at)[0]
        out.append(data[at + 4:at + 4 + n]); at += 4 + n
    return out
def write(path, items):
    with open(path, 'wb') as f:
        for item in items: f.write(struct.pack('<I', len(item)) + item)
)";

constexpr const char* kEncode = R"(
from tokenizers import Tokenizer
t = Tokenizer.from_file(sys.argv[1])
ids = [e.ids for e in t.encode_batch([x.decode() for x in read(sys.argv[2])], add_special_tokens=False)]
write(sys.argv[3], [struct.pack('<%dI' % len(i), *i) for i in ids])
write(sys.argv[4], [x.encode() for x in t.decode_batch(ids, skip_special_tokens=False)])
)";

constexpr const char* kWords = R"(
import json
from tokenizers import Tokenizer
steps = json.load(open(sys.argv[1]))
t = Tokenizer.from_str(json.dumps({'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': [],
    'post_processor': None, 'decoder': None, 'model': {'type': 'WordLevel', 'vocab': {'u': 0}, 'unk_token': 'u'}, **steps}))
def words(text):
    if t.normalizer: text = t.normalizer.normalize_str(text)
    if not t.pre_tokenizer: return [text] if text else []
    return [w for w, _ in t.pre_tokenizer.pre_tokenize_str(text)]
write(sys.argv[3], [''.join(w + '\x1f' for w in words(x.decode())).encode() for x in read(sys.argv[2])])
)";

constexpr const char* kAnnotate = R"(
from tokenizers import Tokenizer
t = Tokenizer.from_file(sys.argv[1])
first, second = ([x.decode() for x in read(p)] for p in sys.argv[2:4])
encodings = [t.encode(a) for a in first] + [t.encode(a, b) for a, b in zip(first, second)]
def lines(e):
    which = [-1 if s is None else s for s in e.sequence_ids]
    return ''.join('%d %d %d %d %d %d\n' % (i, y, m, *(o if w >= 0 else (0, 0)), w)
                   for i, y, m, o, w in zip(e.ids, e.type_ids, e.special_tokens_mask, e.offsets, which))
write(sys.argv[4], [lines(e).encode() for e in encodings])
)";

constexpr const char* kTrain = R"(
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
kind, text, size, least, out = sys.argv[1:6]
t = Tokenizer(models.BPE())
if kind == 'gpt2':
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
else:
    split = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), 'isolated'),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
t.decoder = decoders.ByteLevel()
t.train_from_iterator([open(text, newline='').read()], trainers.BpeTrainer(
    vocab_size=int(size), min_frequency=int(least), special_tokens=['<|endoftext|>'], show_progress=False,
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
t.save(out)
)";

constexpr const char* kHandbook = R"(
import glob, html.parser, os
class Text(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(); self.parts, self.hidden = [], 0
    def handle_starttag(self, tag, attributes): self.hidden += tag in ('script', 'style')
    def handle_endtag(self, tag): self.hidden -= tag in ('script', 'style')
    def handle_data(self, data):
        if not self.hidden: self.parts.append(data)
texts = []
for folder in sorted(glob.glob('/usr/share/doc/debian-handbook/html/*/')):
    text = ''
    for page in sorted(glob.glob(folder + '*.html')):
        parser = Text(); parser.feed(open(page, encoding='utf-8').read()); text += ''.join(parser.parts)
        if len(text) > int(sys.argv[1]): break
    if len(text) > 1000: texts.append(text[:int(sys.argv[1])].encode())
write(sys.argv[2], texts)
)";

std::string packed(const std::vector<std::string>& items) {
  std::string all;
  for (const std::string& item : items) {
    const auto size = static_cast<uint32_t>(item.size());
    all.append(reinterpret_cast<const char*>(&size), sizeof(size)).append(item);
  }
  return all;
}

std::vector<std::string> unpacked(const std::string& path) {
  const std::string all = read_text(path);
  std::vector<std::string> items;
  for (size_t at = 0; at < all.size();) {
    uint32_t size = 0;
    std::memcpy(&size, all.data() + at, sizeof(size));
    items.push_back(all.substr(at + sizeof(size), size));
    at += sizeof(size) + size;
  }
  return items;
}

}  // namespace

PeerEncoding peer_encoding(const std::string& tokenizer, const std::vector<std::string>& texts) {
  const PeerFiles files;
  const std::string in = files.write("texts", packed(texts));
  run_peer(std::string(kExchange) + kEncode, {tokenizer, in, files.path("ids"), files.path("decoded")});
  PeerEncoding encoding;
  for (const std::string& bytes : unpacked(files.path("ids"))) {
    std::vector<TokenId>& ids = encoding.ids.emplace_back(bytes.size() / sizeof(TokenId));
    std::memcpy(ids.data(), bytes.data(), bytes.size());
  }
  encoding.decoded = unpacked(files.path("decoded"));
  return encoding;
}

std::vector<std::string> peer_words(const std::string& normalizer, const std::string& pre_tokenizer,
                                    const std::vector<std::string>& texts) {
  const PeerFiles files;
  const std::string in = files.write("texts", packed(texts));
  const std::string steps =
      files.write("steps", "{\"normalizer\":" + normalizer + ",\"pre_tokenizer\":" + pre_tokenizer + "}");
  run_peer(std::string(kExchange) + kWords, {steps, in, files.path("words")});
  return unpacked(files.path("words"));
}

std::vector<std::string> peer_annotations(const std::string& tokenizer, const std::vector<std::string>& first,
                                          const std::vector<std::string>& second) {
  const PeerFiles files;
  const std::string a = files.write("first", packed(first)), b = files.write("second", packed(second));
  run_peer(std::string(kExchange) + kAnnotate, {tokenizer, a, b, files.path("lines")});
  return unpacked(files.path("lines"));
}

void peer_trained(const std::string& kind, const std::string& text, int64_t vocabulary_size, int64_t minimum_frequency,
                  const std::string& out) {
  run_peer(std::string(kExchange) + kTrain,
           {kind, text, std::to_string(vocabulary_size), std::to_string(minimum_frequency), out});
}

std::vector<std::string> handbook_texts(int64_t characters) {
  const PeerFiles files;
  run_peer(std::string(kExchange) + kHandbook, {std::to_string(characters), files.path("texts")});
  return unpacked(files.path("texts"));
}

PeerFiles::PeerFiles() : directory_((std::filesystem::temp_directory_path() / "lathe-peer-XXXXXX").string()) {
  require(mkdtemp(directory_.data()) != nullptr, "cannot make ", directory_);
}

PeerFiles::~PeerFiles() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string PeerFiles::write(const std::string& name, const std::string& content) const {
  std::ofstream(path(name), std::ios::binary) << content;
  return path(name);
}

}  // namespace lathe::test
