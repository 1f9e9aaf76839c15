// SPDX-License-Identifier: Apache-2.0
// common/base/indexed_map.h -- a std::map that also finds its keys by hash.
//
//   IndexedMap<std::string, int> ages;
//   ages["eve"] = 7;
//   for (const auto& [name, age] : ages) ...   // in order
//
// For maps so large that each step of a search in the tree misses the cache. The index takes some 12 bytes an entry.
#ifndef BERTH_COMMON_BASE_INDEXED_MAP_H_
#define BERTH_COMMON_BASE_INDEXED_MAP_H_

#include <cstddef>
#include <map>
#include <stdexcept>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"

namespace berth {

// As std::map, of which it has what is used; references and iterators stay valid as there. K: ordered, and hashable by
// absl::Hash.
template <typename K, typename V>
class IndexedMap {
  using Map = std::map<K, V>;

 public:
  using iterator = typename Map::iterator;
  using const_iterator = typename Map::const_iterator;
  using value_type = typename Map::value_type;

  IndexedMap() = default;
  IndexedMap(const IndexedMap& other) : map_(other.map_) {
    index_.reserve(map_.size());
    for (auto it = map_.begin(); it != map_.end(); ++it) index_.insert(it);
  }
  IndexedMap(IndexedMap&& other) noexcept { swap(other); }
  IndexedMap& operator=(IndexedMap other) noexcept {
    swap(other);
    return *this;
  }
  void swap(IndexedMap& other) noexcept {
    map_.swap(other.map_);
    index_.swap(other.index_);
  }

  iterator begin() { return map_.begin(); }
  iterator end() { return map_.end(); }
  const_iterator begin() const { return map_.begin(); }
  const_iterator end() const { return map_.end(); }
  std::size_t size() const { return map_.size(); }
  bool empty() const { return map_.empty(); }

  iterator find(const K& key) {
    const auto it = index_.find(key);
    return it == index_.end() ? map_.end() : *it;
  }
  const_iterator find(const K& key) const {
    const auto it = index_.find(key);
    return it == index_.end() ? map_.end() : const_iterator(*it);
  }
  const_iterator lower_bound(const K& key) const { return map_.lower_bound(key); }
  std::size_t count(const K& key) const { return index_.count(key); }
  // Precondition: it is there.
  V& at(const K& key) { return Present(find(key), end())->second; }
  const V& at(const K& key) const { return Present(find(key), end())->second; }

  template <typename... Args>
  std::pair<iterator, bool> try_emplace(const K& key, Args&&... args) {
    if (const auto it = index_.find(key); it != index_.end()) return {*it, false};
    // At the end costs nothing, and is where keys that come in order belong.
    const iterator at = map_.try_emplace(map_.end(), key, std::forward<Args>(args)...);
    index_.insert(at);
    return {at, true};
  }
  V& operator[](const K& key) { return try_emplace(key).first->second; }

  iterator erase(const_iterator at) {
    index_.erase(at->first);
    return map_.erase(at);
  }
  std::size_t erase(const K& key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return 0;
    const iterator at = *it;
    index_.erase(it);  // first: it looks at the key
    map_.erase(at);
    return 1;
  }
  void clear() {
    index_.clear();
    map_.clear();
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const K& key) const { return absl::Hash<K>()(key); }
    std::size_t operator()(const iterator& at) const { return absl::Hash<K>()(at->first); }
  };
  struct Same {
    using is_transparent = void;
    bool operator()(const iterator& a, const iterator& b) const { return a == b || a->first == b->first; }
    bool operator()(const iterator& a, const K& b) const { return a->first == b; }
    bool operator()(const K& a, const iterator& b) const { return a == b->first; }
  };
  template <typename It>
  static It Present(It it, It end) {
    if (it == end) throw std::out_of_range("IndexedMap::at");
    return it;
  }

  Map map_;
  absl::flat_hash_set<iterator, Hash, Same> index_;
};

}  // namespace berth

#endif  // BERTH_COMMON_BASE_INDEXED_MAP_H_
