"""Directories as models had them before tokenizer.json, made of tiny vocabularies, and what transformers' AutoTokenizer
makes of texts there: make_vocabularies.py FOLDER prints {directory: {"texts": [...], "ids": [...], "pair": [...]}}."""
import io, json, os, sys
import sentencepiece
from transformers import AutoTokenizer
from transformers.utils import logging

logging.set_verbosity_error()
folder = sys.argv[1]
TEXTS = ["Hello world", "  h\u00e9llo  WORLD 12 <mask> x", "a<s>b</s> c <new> newish [MASK] don't", "", " ",
         "\u65e5\u672c x\ty\n z", "<|endoftext|>hi <|im_start|>x <extra_id_0><extra_id_99> e\u0301", "[CLS]he[SEP] llo!"]
PAIR = ("hello x", "world 12")


def write(name, **files):
    os.makedirs(f"{folder}/{name}")
    for file, content in files.items():
        file = file.replace("__", ".")
        data = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content)).encode()
        open(f"{folder}/{name}/{file}", "wb").write(data)


def added(content, special=True, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": special, **flags}


def spelt_bytes():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(c) for c in plain] + [chr(256 + i) for i in range(256 - len(plain))]


def byte_level(before, behind):
    merges = ["h e", "l l", "he ll", "hell o", "\u0120 w", "o r", "\u0120w or"]
    tokens = [*before, *spelt_bytes(), *(m.replace(" ", "") for m in merges), *behind]
    return {"vocab__json": {t: i for i, t in enumerate(tokens)}, "merges__txt": "#version: 0.2\n" + "\n".join(merges) + "\n"}, len(tokens)


def of(model_type, **more):
    return {"config__json": {"model_type": model_type, **more}}


roberta, size = byte_level(["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"])
write("roberta", **roberta, **of("roberta"))
write("bart_prefix", **roberta, **of("bart"), tokenizer_config__json={"tokenizer_class": "BartTokenizer", "add_prefix_space": True})
write("roberta_added_tokens", **roberta, **of("roberta"), added_tokens__json={"<new>": size, "newish": size + 1},
      special_tokens_map__json={"bos_token": "<s>", "mask_token": added("<mask>", lstrip=True), "additional_special_tokens": ["<new>"]})
write("roberta_decoder", **roberta, **of("longformer"), tokenizer_config__json={"tokenizer_class": "LongformerTokenizer", "added_tokens_decoder": {
    "0": added("<s>", normalized=True), str(size - 1): added("<mask>", lstrip=True), str(size): added("<new>", False, normalized=True)}})
write("roberta_by_config", **roberta, **of("roberta", tokenizer_class="RobertaTokenizer"),
      tokenizer_config__json={"cls_token": "<pad>", "sep_token": {"__type": "AddedToken", **added("<unk>")}})
gpt2, size = byte_level([], ["<|endoftext|>"])
write("gpt2", **gpt2, **of("gpt2"))
write("gpt2_begin", **gpt2, **of("gpt2"), tokenizer_config__json={"add_bos_token": True, "pad_token": "<mask>"})
write("opt", **roberta, **of("opt"), tokenizer_config__json={
    "tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"})
write("gptj_ends", **gpt2, **of("gptj"), tokenizer_config__json={"add_bos_token": True, "add_eos_token": True})
write("gpt_neox", **gpt2, **of("gpt_neox"))
write("qwen2", **gpt2, **of("qwen2"), added_tokens__json={"<|im_start|>": size},
      special_tokens_map__json={"additional_special_tokens": ["<|im_start|>"], "eos_token": "<|im_start|>"})

pieces = ("[PAD] [unused0] [UNK] [CLS] [SEP] [MASK] hello ##llo he world h ##\u00e9 \u00e9 h\u00e9 Hello ! \u65e5 12 1 ##2 x a s < > b / c new "
          "##ish [ ] mask don ' t").split()
bert, lines = "\n".join(pieces) + "\n", len(pieces)
config = {"tokenizer_class": "BertTokenizer"}
write("bert", vocab__txt=bert, **of("bert"), tokenizer_config__json={})
write("bert_cased", vocab__txt=bert, **of("bert"), tokenizer_config__json={**config, "do_lower_case": False})
write("distilbert_accents", vocab__txt=bert, **of("distilbert"), tokenizer_config__json={
    "tokenizer_class": "DistilBertTokenizer", "strip_accents": False, "tokenize_chinese_chars": False})
write("bert_added_tokens", vocab__txt=bert, **of("bert"), tokenizer_config__json=config, added_tokens__json={"<new>": lines, "newish": lines + 1})
write("bert_names", vocab__txt=bert.replace("[CLS]", "<s>").replace("[SEP]", "</s>").replace("[UNK]", "<unk>"), **of("bert"), tokenizer_config__json={},
      special_tokens_map__json={"cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "[MASK]", "pad_token": "[PAD]"})
write("bert_decoder", vocab__txt=bert, **of("bert"), tokenizer_config__json={
    "do_lower_case": True, "added_tokens_decoder": {str(lines): added("<new>", False, normalized=True, rstrip=True)}})
write("bert_windows_lines", vocab__txt=bert.replace("\n", "\r\n") + "hello\r\n", **of("bert"), tokenizer_config__json=config)

words = "hello world the new newish words end don it is sentence and long text h\u00e9llo \u65e5\u672c 12 x y z Hello World".split()
sentences = [" ".join(words[(i * k + k) % len(words)] for k in range(1, 9)) for i in range(200)]


def sentencepiece_model(kind, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(sentences), model_writer=model, model_type=kind, minloglevel=2,
                                             hard_vocab_limit=False, num_threads=1, **options)
    data = model.getvalue()
    return data, sentencepiece.SentencePieceProcessor(model_proto=data).get_piece_size()


t5, size = sentencepiece_model("unigram", vocab_size=60, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
sentinels = [f"<extra_id_{i}>" for i in range(100)]
write("t5", spiece__model=t5, **of("t5"))
write("t5_named", spiece__model=t5, **of("t5"), tokenizer_config__json={
    "tokenizer_class": "T5Tokenizer", "extra_ids": 100, "additional_special_tokens": sentinels},
    special_tokens_map__json={"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "additional_special_tokens": sentinels})
write("t5_decoder", spiece__model=t5, **of("t5"), tokenizer_config__json={
    "tokenizer_class": "T5Tokenizer", "extra_ids": 100, "additional_special_tokens": sentinels,
    "added_tokens_decoder": {str(size + i): added(f"<extra_id_{99 - i}>", lstrip=True, rstrip=True) for i in range(100)}})
write("t5_without_sentinels", spiece__model=t5, **of("t5"), tokenizer_config__json={"extra_ids": 0})
llama, size = sentencepiece_model("bpe", vocab_size=340, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}
write("llama", tokenizer__model=llama, **of("llama"), tokenizer_config__json={**config, "legacy": False})
write("llama_legacy", tokenizer__model=llama, **of("llama"), tokenizer_config__json={**config, "legacy": True})
write("llama_ends", tokenizer__model=llama, **of("llama"), tokenizer_config__json={**config, "add_eos_token": True}, added_tokens__json={"<new>": size})
write("llama_no_begin", tokenizer__model=llama, **of("llama"), tokenizer_config__json={**config, "add_bos_token": False, "add_prefix_space": False})

results = {}
for name in sorted(os.listdir(folder)):
    tokenizer = AutoTokenizer.from_pretrained(f"{folder}/{name}")
    results[name] = {"texts": TEXTS, "ids": [tokenizer(t).input_ids for t in TEXTS], "first": PAIR[0], "second": PAIR[1], "pair": tokenizer(*PAIR).input_ids}
print(json.dumps(results))
