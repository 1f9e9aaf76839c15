// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/kube/selector.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace berth::kube {
namespace {

// At commas that are not within parentheses.
std::vector<std::string> Terms(absl::string_view text) {
  std::vector<std::string> terms(1);
  bool inside = false;
  for (const char c : text) {
    if (c == '(') inside = true;
    if (c == ')') inside = false;
    if (c == ',' && !inside) {
      terms.emplace_back();
    } else {
      terms.back().push_back(c);
    }
  }
  for (std::string& term : terms) absl::StripAsciiWhitespace(&term);
  return terms;
}

std::set<std::string> Values(absl::string_view text) {
  std::set<std::string> values;
  text = absl::StripSuffix(absl::StripPrefix(absl::StripAsciiWhitespace(text), "("), ")");
  for (const absl::string_view value : absl::StrSplit(text, ',')) values.emplace(absl::StripAsciiWhitespace(value));
  return values;
}

}  // namespace

absl::StatusOr<Selector> Selector::Labels(absl::string_view text) {
  Selector selector;
  if (text.empty()) return selector;
  for (const std::string& words : Terms(text)) {
    Term term;
    std::string key;
    if (words.empty()) return absl::InvalidArgumentError(absl::StrCat("unable to parse requirement: ", text));
    for (const bool in : {false, true}) {
      const std::size_t at = words.find(in ? " in " : " notin ");
      if (at == std::string::npos) continue;
      key = words.substr(0, at);
      term.in = in;
      term.values = Values(absl::string_view(words).substr(at + (in ? 4 : 7)));
    }
    if (key.empty() && absl::StrContains(words, "=")) {
      const std::size_t at = words.find('=');
      term.in = at == 0 || words[at - 1] != '!';
      key = words.substr(0, term.in ? at : at - 1);
      term.values = {std::string(absl::StripPrefix(absl::string_view(words).substr(at + 1), "="))};
    } else if (key.empty()) {
      term.any = true;
      term.in = words[0] != '!';
      key = std::string(absl::StripPrefix(words, "!"));
    }
    absl::StripAsciiWhitespace(&key);
    term.path = {"metadata", "labels", key};
    selector.terms_.push_back(std::move(term));
  }
  return selector;
}

absl::StatusOr<Selector> Selector::Fields(absl::string_view text) {
  Selector selector;
  if (text.empty()) return selector;
  for (const std::string& words : Terms(text)) {
    const std::size_t at = words.find('=');
    if (at == std::string::npos || at == 0) {
      return absl::InvalidArgumentError(absl::StrCat("invalid selector: '", text, "'; can't understand '", words, "'"));
    }
    Term term;
    term.in = words[at - 1] != '!';
    term.path = absl::StrSplit(words.substr(0, term.in ? at : at - 1), '.');
    term.values = {std::string(absl::StripPrefix(absl::string_view(words).substr(at + 1), "="))};
    // A field that is absent is an empty one; unlike with labels, both = and != see it so.
    selector.terms_.push_back(std::move(term));
  }
  return selector;
}

bool Selector::Matches(const nlohmann::json& object) const {
  for (const Term& term : terms_) {
    const nlohmann::json* at = &object;
    for (const std::string& step : term.path) {
      const auto next = at->is_object() ? at->find(step) : at->end();
      if (!at->is_object() || next == at->end()) {
        at = nullptr;
        break;
      }
      at = &*next;
    }
    const bool label = term.path.size() == 3 && term.path[1] == "labels";
    const bool there = at != nullptr && at->is_string();
    bool holds = term.any ? there : term.values.contains(there ? at->get<std::string>() : std::string());
    if (!term.any && label && !there) holds = false;
    if (holds != term.in) return false;
  }
  return true;
}

}  // namespace berth::kube
