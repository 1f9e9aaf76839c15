// SPDX-License-Identifier: Apache-2.0
#include "common/obs/standard_pages.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace berth {
namespace {

HttpHandler ProbePage(Reasons reasons) {
  return [reasons = std::move(reasons)](const HttpRequest&) {
    const std::vector<std::string> lacking = reasons();
    if (lacking.empty()) return HttpResponse{.code = 200, .body = "ok\n"};
    return HttpResponse{.code = 503, .body = absl::StrCat(absl::StrJoin(lacking, "\n"), "\n")};
  };
}

}  // namespace

HttpHandlers StandardPages(const Metrics& metrics, Reasons unhealthy, Reasons unready) {
  HttpHandlers pages;
  pages["/metrics"] = [&metrics](const HttpRequest&) {
    return HttpResponse{.body = metrics.Scrape(), .content_type = "text/plain; version=0.0.4; charset=utf-8"};
  };
  pages["/healthz"] = ProbePage(std::move(unhealthy));
  pages["/readyz"] = ProbePage(std::move(unready));
  return pages;
}

}  // namespace berth
