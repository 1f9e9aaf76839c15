// SPDX-License-Identifier: Apache-2.0
// tests/fakes/kube/api_path.h -- a request's path, taken apart as an API server does. Pure.
#ifndef BERTH_TESTS_FAKES_KUBE_API_PATH_H_
#define BERTH_TESTS_FAKES_KUBE_API_PATH_H_

#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace berth::kube {

// "/apis/GROUP/VERSION/namespaces/NS/RESOURCE/NAME/SUBRESOURCE?a=b", or "/api/v1/..." with an empty group.
struct ApiPath {
  std::string group, version, ns, resource, name, subresource;
  std::map<std::string, std::string> query;  // unescaped

  std::string Query(const std::string& key) const;  // empty when absent
  bool QueryIs(const std::string& key) const;       // "true" or "1"
};

// Nothing for what is no path of objects, or badly escaped.
std::optional<ApiPath> ParseApiPath(absl::string_view path);

}  // namespace berth::kube

#endif  // BERTH_TESTS_FAKES_KUBE_API_PATH_H_
