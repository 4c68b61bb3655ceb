# GoogleTest's XML -> "passed|failed|skipped <tab> program: Suite.Name <tab> reason", a line for each test.
function attribute(name,    at, rest) {
  at = index($0, " " name "=\"")
  if (!at) return ""
  rest = substr($0, at + length(name) + 3)
  return plain(substr(rest, 1, index(rest, "\"") - 1))
}
function plain(text) {
  gsub(/&#x0A;|&#x0D;|&#x09;/, " ", text)
  gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&quot;/, "\"", text); gsub(/&apos;/, "'", text)
  gsub(/&amp;/, "\\&", text)
  return text
}
function finish() {
  if (name != "") print result "\t" program ": " name "\t" reason
  name = ""
}
/<testcase / {
  finish()
  name = attribute("classname") "." attribute("name")
  result = attribute("result") == "completed" ? "passed" : "skipped"
  reason = attribute("status") == "notrun" ? "disabled" : ""
}
/<failure / { result = "failed"; if (reason == "") reason = attribute("message") }
/<skipped / { reason = attribute("message"); sub(/^[^ ]*:[0-9]+ /, "", reason) }
END { finish() }
