// SPDX-License-Identifier: Apache-2.0
#include "controller/files/manifest/catalog.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/files/manifest/fields.h"

namespace berth::files {

void Catalog::Seed(const std::string& file, ParsedObject object) {
  owners_[object.key].insert(file);
  const ObjectKey key = object.key;
  files_[file].objects.insert_or_assign(key, std::make_shared<const ParsedObject>(std::move(object)));
}

void Catalog::Put(const std::string& name, File& file, ParsedObject object) {
  const ObjectKey key = object.key;
  auto [it, fresh] = file.objects.try_emplace(key);
  if (fresh || it->second->value != object.value) changed_.insert(key);
  it->second = std::make_shared<const ParsedObject>(std::move(object));
  owners_[key].insert(name);
}

void Catalog::Drop(const std::string& name, const ObjectKey& key) {
  auto it = owners_.find(key);
  it->second.erase(name);
  if (it->second.empty()) owners_.erase(it);
  changed_.insert(key);
}

void Catalog::Update(const std::string& file_name, ParsedFile parsed) {
  File& file = files_[file_name];
  file.whole = parsed.whole;
  file.problems = std::move(parsed.problems);
  file.other_kinds = std::move(parsed.other_kinds);
  if (!parsed.whole) return;
  const bool doubtful = parsed.nameless || !parsed.wrong.empty();
  std::set<ObjectKey> stay = std::move(parsed.wrong);
  for (ParsedObject& object : parsed.objects) {
    stay.insert(object.key);
    Put(file_name, file, std::move(object));
  }
  // A file with a problem may be half-written, or its problem one of those that seem to be missing: it deletes nothing.
  if (doubtful) return;
  for (auto it = file.objects.begin(); it != file.objects.end();) {
    if (stay.count(it->first) != 0) {
      ++it;
      continue;
    }
    Drop(file_name, it->first);
    it = file.objects.erase(it);
  }
}

void Catalog::Remove(const std::string& file_name) {
  auto it = files_.find(file_name);
  if (it == files_.end()) return;
  for (const auto& [key, object] : it->second.objects) Drop(file_name, key);
  files_.erase(it);
}

std::vector<std::string> Catalog::files() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : files_) names.push_back(name);
  return names;
}

std::shared_ptr<const ParsedObject> Catalog::Find(const ObjectKey& key) const {
  auto it = owners_.find(key);
  if (it == owners_.end()) return nullptr;
  return files_.at(*it->second.begin()).objects.at(key);
}

std::string Catalog::FileOf(const ObjectKey& key) const {
  auto it = owners_.find(key);
  return it == owners_.end() ? "" : *it->second.begin();
}

std::vector<ObjectKey> Catalog::TakeChanged() {
  std::vector<ObjectKey> changed(changed_.begin(), changed_.end());
  changed_.clear();
  return changed;
}

std::vector<std::string> Catalog::Problems() const {
  std::map<std::string, std::vector<std::string>> by_file;
  for (const auto& [key, names] : owners_) {
    const std::string& first = *names.begin();
    for (const std::string& name : names) {
      if (name == first) continue;
      const std::string what =
          absl::StrCat(key.ToString(), ": is in ", first, ":", files_.at(first).objects.at(key)->line,
                       " too, which is used; remove one of the two");
      by_file[name].push_back(ProblemText(name, files_.at(name).objects.at(key)->line, what));
    }
  }
  std::vector<std::string> all;
  for (const auto& [name, file] : files_) {
    for (const FileProblem& problem : file.problems) {
      std::string text = problem.text;
      const bool keeps = problem.key ? file.objects.count(*problem.key) != 0 : !file.objects.empty();
      if (keeps && !file.whole) absl::StrAppend(&text, " (what the file held before stays in force)");
      if (keeps && file.whole && problem.key) absl::StrAppend(&text, " (its last good version stays in force)");
      all.push_back(std::move(text));
    }
    for (std::string& text : by_file[name]) all.push_back(std::move(text));
  }
  return all;
}

std::map<std::string, std::string> Catalog::PoolsNotInForce() const {
  std::map<std::string, std::string> pools;
  for (const auto& [name, file] : files_) {
    for (const FileProblem& problem : file.problems) {
      if (!problem.key || problem.key->kind != ObjectKind::kPool || Find(*problem.key) != nullptr) continue;
      std::string& text = pools[problem.key->id.name];
      absl::StrAppend(&text, text.empty() ? "" : "; ", problem.text);
    }
  }
  return pools;
}

std::map<std::string, std::string> Catalog::OtherKinds() const {
  std::map<std::string, std::string> kinds;
  for (const auto& [name, file] : files_) {
    for (const auto& [kind, line] : file.other_kinds) kinds.emplace(kind, absl::StrCat(name, ":", line));
  }
  return kinds;
}

}  // namespace berth::files
