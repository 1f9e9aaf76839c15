// SPDX-License-Identifier: Apache-2.0
// common/base/status_macros.h -- pass errors up, adding words on the way. Same meaning as newer Abseil's own macros.
//
//   RETURN_IF_ERROR(CheckNoOverlap(pools));
//   ASSIGN_OR_RETURN(IpAddr address, IpAddr::Parse(text));
//   return Annotate(status, "Eip \"edge\": spec.address");   // same code, message prefixed with "...: "
#ifndef BERTH_COMMON_BASE_STATUS_MACROS_H_
#define BERTH_COMMON_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace berth {

// `status` with `context` and ": " put before its message; OK stays OK.
inline absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(context, ": ", status.message()));
}

}  // namespace berth

#define BERTH_CONCAT_INNER_(a, b) a##b
#define BERTH_CONCAT_(a, b) BERTH_CONCAT_INNER_(a, b)

#define RETURN_IF_ERROR(expr)                                                           \
  do {                                                                                  \
    if (absl::Status berth_status_ = (expr); !berth_status_.ok()) return berth_status_; \
  } while (false)

// NOLINTBEGIN(bugprone-macro-parentheses): `lhs` may be a declaration
#define ASSIGN_OR_RETURN(lhs, expr) ASSIGN_OR_RETURN_IMPL_(BERTH_CONCAT_(berth_statusor_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                           \
  if (!tmp.ok()) return tmp.status();          \
  lhs = *std::move(tmp)
// NOLINTEND(bugprone-macro-parentheses)

#endif  // BERTH_COMMON_BASE_STATUS_MACROS_H_
