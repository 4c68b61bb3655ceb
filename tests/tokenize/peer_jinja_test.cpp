// Jinja2, set up as transformers sets it up, and our subset of it write the same.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lathe/base/json.h"
#include "lathe/base/line_reader.h"
#include "lathe/tokenize/chat_template.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/tokenize/chat_support.h"
#include "tests/tokenize/peer_support.h"

namespace lathe {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kRender = R"(
import json, sys
from transformers.utils.chat_template_utils import _compile_jinja_template
given = json.load(open(sys.argv[1]))
out = []
for source in given['templates']:
    try: out.append(_compile_jinja_template(source).render(**given['names']))
    except Exception as e: out.append(None)
print(json.dumps(out))
)";

constexpr const char* kApply = R"(
import json, sys
from transformers import PreTrainedTokenizerFast
given = json.load(open(sys.argv[1]))
t = PreTrainedTokenizerFast(tokenizer_file=sys.argv[2], bos_token='<s>', eos_token='</s>')
print(json.dumps([t.apply_chat_template(x['messages'], tools=x['tools'], chat_template=x['source'], tokenize=True,
                  return_dict=False, add_generation_prompt=x['prompt']) for x in given]))
)";

/// Expressions, each to be written by a template of its own: a line each of jinja_expressions.txt; # begins a comment.
std::vector<std::string> expressions() {
  std::vector<std::string> all;
  LineReader lines((checkout() / "tests/tokenize/jinja_expressions.txt").string());
  for (std::string_view line; lines.next(line);)
    if (!line.starts_with("# ")) all.emplace_back(line);
  return all;
}

/// Whole templates: statements, scopes and whitespace.
const std::vector<std::string> kTemplates = {
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n\n",
    "a\n  {%- if true -%}\n  b\n  {%- endif -%}\nc\n",
    "a\n  {%+ if true %}\n  b\n  {% endif +%}\nc\n",
    "  {# c #}  \n  {#- d -#}  x\n{# e #}\ny",
    "{{ 1 }}\n{{ 2 -}}\n  {{ 3 }}\n",
    "  {% set x = 1 %}  {{ x }}\n   {% set y = 2 %}\n{{ y }}",
    "x {% raw %}\n{{ y }} {% z %}\n{% endraw %}\nw",
    "x {%- raw -%}\n {{ y }} \n{%- endraw -%}\n w",
    "{% for i in l %}{{ loop.index }}/{{ loop.length }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }} {% endfor %}",
    "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}",
    "{% for i in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i > 1) }}{% endfor %}",
    "{% for i in [] %}x{% else %}none{% endfor %}|{% for i in l if i > 99 %}x{% else %}none{% endfor %}",
    "{% for i in l if i is odd %}{{ loop.index0 }}:{{ i }} {% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for x in [1, [2, [3]]] recursive %}{{ loop.depth }}{% if x is iterable %}{{ loop(x) }}{% else %}{{ x }}{% "
    "endif %}{% endfor %}",
    "{% for i in l %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in l %}{% for j in l %}{% if j > i %}{% break %}{% endif %}{{ j }}{% endfor %};{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
    "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (a, b) = [b, a] %}{{ a }}{{ b }}",
    "{% set x %}a{{ 1 }}{% set y = 5 %}{% endset %}{{ x }}{{ y is defined }}",
    "{% set x | upper | replace('A', 'q') %}abc{% endset %}{{ x }}",
    "{% if x is defined %}1{% elif l %}2{% else %}3{% endif %}",
    "{% if false %}{% set q = 1 %}{% endif %}{{ q is defined }}",
    "{% macro m(a, b='x', c=a) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(a=3, c=4) }}{{ m() "
    "}}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, z=3) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}",
    "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}",
    "{% macro m() %}{{ late }}{% endmacro %}{% set late = 7 %}{{ m() }}",
    "{% macro m() %}{% set late = 3 %}{{ late }}{% endmacro %}{% set late = 7 %}{{ m() }}{{ late }}",
    "{% macro m(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) m(5) %}{{ y + 1 }}{% endcall %}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{{ l[0] }}{% endcall %}",
    "{% macro m() %}<{{ caller is defined }}>{% endmacro %}{{ m() }}",
    "{% filter upper %}a{{ 'b' }}{% endfilter %}",
    "{% filter trim | replace('a', 'o') %}  banana {% endfilter %}|",
    "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}",
    "{% generation %}a{% set z = 1 %}{{ z }}{% endgeneration %}{{ z is defined }}",
    "{% for m in ms %}{% if loop.first %}F{% endif %}{{ m.role }}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% set it = l|select('odd') %}{{ it|list }}{{ it|list }}",
    "{% set it = l|map('string') %}{{ it|first }}{{ it|first }}",
    "{{ {'a': {'b': 1}}.a.b }}{{ {'x': 1}|length }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.current }}",
    "{% set j = joiner('-') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}",
    "{% for i in undefined_name %}x{% else %}empty{% endfor %}",
    "{% for i in 5 %}x{% endfor %}",
    "{% for i in 'añb' %}{{ i }}.{% endfor %}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set d2 = dict(d, z=9) %}{{ d2 }}{{ d }}",
    "{{ 'a' if l else 'b' }}{{ l if not l }}",
    "{%- for m in ms -%}\n  {{- m.role -}}\n{%- endfor -%}\n",
    "\r\na\r\n{% if true %}\r\nb\r\n{% endif %}\r\n",
    "{{ '{{' }}{{ '%}' }}{{ \"}}\" }}",
    "{{ x",
    "{% if %}{% endif %}",
    "{% endfor %}",
    "{% for i in l %}",
    "{% unknown %}",
    "{% break %}",
    "{{ 1 2 }}",
    "{{ [1, 2 }}",
    "{% set 1 = 2 %}",
    "{% set n.x = 2 %}",
    "{% do l %}",
    "{{ s is string is true }}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{{ f(a=1, 2) }}",
};

Json names() {
  return {{"s", "Hello World"},
          {"u", "é日x😀"},
          {"l", {3, 1, 2, 5}},
          {"d", {{"b", 2}, {"a", 1}}},
          {"n", {{"b", {{"c", "x"}}}, {"t", true}, {"z", nullptr}, {"l", {1, {2}}}}},
          {"a", 1},
          {"b", 2},
          {"ms", {{{"role", "user"}, {"n", 3}}, {{"role", "assistant"}, {"n", 1}}, {{"role", "user"}, {"n", 2}}}}};
}

/// What `source` writes here; null for an Error.
Json ours(const std::string& source) {
  try {
    Conversation conversation;
    conversation.options = names();
    return ChatTemplate(source, "t").render(conversation).bytes();
  } catch (const Error&) {
    return nullptr;
  }
}

TEST(PeerJinja, WritesTheSameOfExpressionsAndTemplates) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  std::vector<std::string> templates = kTemplates;
  for (const std::string& expression : expressions()) templates.push_back("{{ " + expression + " }}");
  test::PeerFiles files;
  Json given = {{"templates", templates}, {"names", names()}};
  Json theirs = Json::parse(run_peer(kRender, {files.write("given.json", given.dump())}));
  ASSERT_EQ(theirs.size(), templates.size());
  for (size_t i = 0; i < templates.size(); ++i) EXPECT_EQ(ours(templates[i]), theirs[i]) << templates[i];
}

TEST(PeerJinja, GivesConversationsTheSameIds) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  if (shared_data("chat_templates").empty()) GTEST_SKIP() << no_shared_data("chat_templates");
  Tokenizer tokenizer = test::tokenizer_of(test::shared_template("Qwen3-Coder.jinja"));
  test::PeerFiles files;
  tokenizer.save(files.path("tokenizer.json"));
  Tokenizer named = Tokenizer::load(files.path("tokenizer.json"));
  Json given = Json::array();
  std::vector<std::vector<TokenId>> expected;
  for (const test::Rendering& rendering : test::renderings()) {
    const ChatTemplate& chat_template = test::shared_template(rendering.file);
    given.push_back({{"messages", rendering.conversation.messages},
                     {"tools", rendering.conversation.tools},
                     {"source", chat_template.source()},
                     {"prompt", rendering.conversation.add_generation_prompt}});
    Conversation conversation = rendering.conversation;
    conversation.now = std::time(nullptr);
    expected.push_back(chat_template.tokens(conversation, named));
  }
  Json theirs = Json::parse(run_peer(kApply, {files.write("given.json", given.dump()), files.path("tokenizer.json")}));
  ASSERT_EQ(theirs.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(expected[i], theirs[i].get<std::vector<TokenId>>()) << i;
}

}  // namespace
}  // namespace lathe
