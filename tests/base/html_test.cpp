#include "lathe/base/html.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(HtmlText, LeavesNothingThatCouldBeMarkup) {
  EXPECT_EQ(html_text("</pre><script>a && \"b\"</script>"),
            "&lt;/pre&gt;&lt;script&gt;a &amp;&amp; &quot;b&quot;&lt;/script&gt;");
}

TEST(HtmlText, ShowsControlCharactersAsTheirPictures) {
  EXPECT_EQ(html_text(std::string_view("a\0\x1b[1m\x7f\n\t", 9)), "a\u2400\u241b[1m\u2421\n\t");
}

TEST(HtmlText, ReplacesWhatNoPageMayHold) {
  EXPECT_EQ(html_text("caf\xc3\xa9 \xc3 \xff \uffff \u0085"), "caf\xc3\xa9 \ufffd \ufffd \ufffd \ufffd");
}

}  // namespace
}  // namespace lathe
