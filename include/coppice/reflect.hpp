// SPDX-License-Identifier: Apache-2.0
//
// Reflection of aggregates: how many fields, what they are called, what the type is called, and to_term.
//
//   struct User { std::string id; int age; };                                           // {:user, "7", 42}
//   struct Named { std::string id; int age; static constexpr auto fields = names("id", "age"); };   // %{age: 42, ...}
//   struct GetValue {};                                                                 // :get_value
//   to_term(User{"7", 42}), to_term(std::vector<User>{...}), to_term(GetValue{})
//
// An aggregate has up to 32 public fields, no base class, and no field that is a reference or a C array (std::array is
// fine). The conversion is never implicit: see term.hpp for why.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <coppice/atom.hpp>
#include <coppice/config.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {

inline constexpr std::size_t reflected_fields_max = 32;

// The names of the fields of an aggregate, in their order: `static constexpr auto fields = names("id", "age");`.
template <std::size_t Count>
struct FieldNames {
  std::string_view list[Count];
  static constexpr std::size_t size() noexcept { return Count; }
};
template <class... Texts>
  requires(sizeof...(Texts) > 0)
consteval FieldNames<sizeof...(Texts)> names(const Texts&... texts) {
  return {{std::string_view(texts)...}};
}

// -- names of types --

namespace detail {

template <class T>
consteval std::string_view pretty_function() {
  return __PRETTY_FUNCTION__;
}

// What stands around the name is the same for every type; `double` shows what.
struct PrettyFrame {
  std::size_t before = pretty_function<double>().find("double");
  std::size_t after = pretty_function<double>().size() - before - 6;
};

// Where the last component of a name begins; `::` between angle brackets or parentheses is not a separator.
constexpr std::size_t last_component(std::string_view name) noexcept {
  std::size_t begin = 0;
  std::size_t depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '<' || c == '(' || c == '{') ++depth;
    if ((c == '>' || c == ')' || c == '}') && depth > 0) --depth;
    if (c == ':' && depth == 0) begin = i + 1;
  }
  return begin;
}

}  // namespace detail

// The name of a type as the compiler writes it: `shop::Counter::Increment`. Unnamed namespaces and template arguments
// read differently from compiler to compiler.
template <class T>
[[nodiscard]] consteval std::string_view qualified_type_name_of() {
  constexpr detail::PrettyFrame frame;
  constexpr std::string_view text = detail::pretty_function<T>();
  return text.substr(frame.before, text.size() - frame.before - frame.after);
}

// Its last component: `Increment`, `Agent<int>`.
template <class T>
[[nodiscard]] consteval std::string_view type_name_of() {
  constexpr std::string_view name = qualified_type_name_of<T>();
  return name.substr(detail::last_component(name));
}

// `GetValue` -> `get_value`, `HTTPServer` -> `http_server`: Elixir's Macro.underscore/1 for one component.
[[nodiscard]] COPPICE_API std::string snake_case(std::string_view name);

// The tag of a type's term: its name in snake case without template arguments. Interned once for each type.
template <class T>
[[nodiscard]] Atom type_tag_of() {
  constexpr std::string_view name = type_name_of<T>();
  static const Atom tag{snake_case(name.substr(0, name.find('<')))};
  return tag;
}

// -- fields --

namespace detail {

// Stands for a field of any type where only the number of fields is asked.
struct AnyField {
  template <class T>
  operator T() const noexcept;  // NOLINT: implicit on purpose, never defined
};

template <std::size_t>
using AnyFieldAt = AnyField;

template <class T, std::size_t... Indices>
consteval bool takes_fields(std::index_sequence<Indices...>) {
  return requires { T{AnyFieldAt<Indices>{}...}; };
}

// The largest number of initialisers the aggregate takes, up to one more than reflection can handle.
template <class T, std::size_t Count>
consteval std::size_t count_fields() {
  if constexpr (takes_fields<T>(std::make_index_sequence<Count>{})) {
    return Count;
  } else if constexpr (Count == 0) {
    return reflected_fields_max + 1;
  } else {
    return count_fields<T, Count - 1>();
  }
}

// An empty class has none, though an empty base may take an initialiser.
template <class T>
consteval std::size_t fields_of() {
  if constexpr (std::is_empty_v<T>) {
    return 0;
  } else {
    return count_fields<T, reflected_fields_max + 1>();
  }
}

template <class T>
inline constexpr std::size_t field_count = fields_of<T>();

template <class T>
consteval bool is_reflectable() {
  if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T> || TermTupleLike<T> || TermRange<T>) {
    return false;
  } else {
    return field_count<T> <= reflected_fields_max;
  }
}

// Call `function` with the fields of an aggregate of `Count` fields: 1 to 16, 17 to 32, any.
template <std::size_t Count, class T, class Function>
constexpr decltype(auto) with_few_fields(T& value, Function&& function) {
  if constexpr (Count == 1) {
    auto& [f0] = value;
    return function(f0);
  } else if constexpr (Count == 2) {
    auto& [f0, f1] = value;
    return function(f0, f1);
  } else if constexpr (Count == 3) {
    auto& [f0, f1, f2] = value;
    return function(f0, f1, f2);
  } else if constexpr (Count == 4) {
    auto& [f0, f1, f2, f3] = value;
    return function(f0, f1, f2, f3);
  } else if constexpr (Count == 5) {
    auto& [f0, f1, f2, f3, f4] = value;
    return function(f0, f1, f2, f3, f4);
  } else if constexpr (Count == 6) {
    auto& [f0, f1, f2, f3, f4, f5] = value;
    return function(f0, f1, f2, f3, f4, f5);
  } else if constexpr (Count == 7) {
    auto& [f0, f1, f2, f3, f4, f5, f6] = value;
    return function(f0, f1, f2, f3, f4, f5, f6);
  } else if constexpr (Count == 8) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7);
  } else if constexpr (Count == 9) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8);
  } else if constexpr (Count == 10) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9);
  } else if constexpr (Count == 11) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10);
  } else if constexpr (Count == 12) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11);
  } else if constexpr (Count == 13) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12);
  } else if constexpr (Count == 14) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13);
  } else if constexpr (Count == 15) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14);
  } else if constexpr (Count == 16) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15);
  }
}

template <std::size_t Count, class T, class Function>
constexpr decltype(auto) with_many_fields(T& value, Function&& function) {
  if constexpr (Count == 17) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16);
  } else if constexpr (Count == 18) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17);
  } else if constexpr (Count == 19) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18);
  } else if constexpr (Count == 20) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19);
  } else if constexpr (Count == 21) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20);
  } else if constexpr (Count == 22) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21);
  } else if constexpr (Count == 23) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22] =
        value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21,
                    f22);
  } else if constexpr (Count == 24) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
           f23] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21,
                    f22, f23);
  } else if constexpr (Count == 25) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
           f24] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21,
                    f22, f23, f24);
  } else if constexpr (Count == 26) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
           f24, f25] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21,
                    f22, f23, f24, f25);
  } else if constexpr (Count == 27) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
           f24, f25, f26] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21,
                    f22, f23, f24, f25, f26);
  } else if constexpr (Count == 28) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
           f24, f25, f26, f27] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21,
                    f22, f23, f24, f25, f26, f27);
  } else if constexpr (Count == 29) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
           f24, f25, f26, f27, f28] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21,
                    f22, f23, f24, f25, f26, f27, f28);
  } else if constexpr (Count == 30) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
           f24, f25, f26, f27, f28, f29] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21,
                    f22, f23, f24, f25, f26, f27, f28, f29);
  } else if constexpr (Count == 31) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
           f24, f25, f26, f27, f28, f29, f30] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21,
                    f22, f23, f24, f25, f26, f27, f28, f29, f30);
  } else if constexpr (Count == 32) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
           f24, f25, f26, f27, f28, f29, f30, f31] = value;
    return function(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21,
                    f22, f23, f24, f25, f26, f27, f28, f29, f30, f31);
  }
}

template <std::size_t Count, class T, class Function>
constexpr decltype(auto) with_fields(T& value, Function&& function) {
  if constexpr (Count <= 16) {
    return with_few_fields<Count>(value, function);
  } else {
    return with_many_fields<Count>(value, function);
  }
}

template <class T>
concept HasFieldNames = requires { T::fields.list[0]; };

}  // namespace detail

// An aggregate that reflection can take apart.
template <class T>
concept Reflectable = detail::is_reflectable<std::remove_cvref_t<T>>();

template <Reflectable T>
inline constexpr std::size_t field_count_of = detail::field_count<std::remove_cvref_t<T>>;

// Calls `visit(name, field)` for each field, in order; the name is empty if the type does not tell its names.
template <Reflectable T, class Visit>
constexpr void for_each_field(T&& value, Visit&& visit) {
  using Type = std::remove_cvref_t<T>;
  if constexpr (field_count_of<T> > 0) {
    detail::with_fields<field_count_of<T>>(value, [&](auto&... fields) {
      std::size_t index = 0;
      if constexpr (detail::HasFieldNames<Type>) {
        static_assert(Type::fields.size() == field_count_of<T>, "names() must name every field");
        (visit(Type::fields.list[index++], fields), ...);
      } else {
        (visit(std::string_view(), fields), ...);
        static_cast<void>(index);
      }
    });
  }
}

// -- to_term --

namespace detail {

template <class T>
consteval bool reflects_to_term();

template <class T, std::size_t... Indices>
consteval bool elements_reflect_to_term(std::index_sequence<Indices...>) {
  return (reflects_to_term<std::remove_cvref_t<std::tuple_element_t<Indices, T>>>() && ...);
}

template <class... Fields>
struct FieldTypes {
  static consteval bool reflect_to_term() { return (reflects_to_term<Fields>() && ...); }
};

// The types of an aggregate's fields, as a list.
template <class T, std::size_t Count>
struct field_types {
  using type = decltype(with_fields<Count>(std::declval<const T&>(), [](const auto&... fields) {
    return FieldTypes<std::remove_cvref_t<decltype(fields)>...>();
  }));
};
template <class T>
struct field_types<T, 0> {
  using type = FieldTypes<>;
};
template <class T>
using field_types_of = typename field_types<T, field_count<T>>::type;

template <class T>
consteval bool reflects_to_term() {
  if constexpr (ToTerm<T>) {
    return true;
  } else if constexpr (!std::is_class_v<T>) {
    return false;
  } else if constexpr (TermOptional<T>) {
    return reflects_to_term<std::remove_cvref_t<typename T::value_type>>();
  } else if constexpr (TermMap<T>) {
    return reflects_to_term<typename T::key_type>() && reflects_to_term<typename T::mapped_type>();
  } else if constexpr (TermRange<T>) {
    return reflects_to_term<std::remove_cvref_t<typename T::value_type>>();
  } else if constexpr (TermTupleLike<T>) {
    return elements_reflect_to_term<T>(std::make_index_sequence<std::tuple_size<T>::value>{});
  } else if constexpr (!Reflectable<T>) {
    return false;
  } else if constexpr (field_count<T> == 0) {
    return true;
  } else {
    return field_types_of<T>::reflect_to_term();
  }
}

}  // namespace detail

// What to_term takes: everything that makes a Term by itself, aggregates whose fields are taken, and the standard
// containers, optionals, pairs and tuples of these.
template <class T>
concept ReflectsToTerm = detail::reflects_to_term<std::remove_cvref_t<T>>();

// The Term of a value. An aggregate becomes a map of its fields if it names them, else a tuple of its tag and its
// fields; an empty one is the bare atom of its tag. OTP: what such a value would be in Erlang.
template <ReflectsToTerm T>
[[nodiscard]] Term to_term(const T& value);

namespace detail {

template <class T>
Term term_of_aggregate(const T& value) {
  if constexpr (field_count<T> == 0) {
    return type_tag_of<T>();
  } else if constexpr (HasFieldNames<T>) {
    std::vector<TermEntry> entries;
    for_each_field(value, [&](std::string_view name, const auto& field) {
      entries.push_back({Atom(name), coppice::v1::to_term(field)});
    });
    return Term::map_of(std::move(entries));
  } else {
    std::vector<Term> elements{type_tag_of<T>()};
    for_each_field(value,
                   [&](std::string_view, const auto& field) { elements.push_back(coppice::v1::to_term(field)); });
    return Term::tuple_of(std::move(elements));
  }
}

template <class T, std::size_t... Indices>
Term reflected_tuple(const T& value, std::index_sequence<Indices...>) {
  return tuple(coppice::v1::to_term(get<Indices>(value))...);
}

}  // namespace detail

template <ReflectsToTerm T>
Term to_term(const T& value) {
  if constexpr (ToTerm<T>) {
    return Term(value);
  } else if constexpr (detail::TermOptional<T>) {
    return value.has_value() ? coppice::v1::to_term(*value) : Term();
  } else if constexpr (detail::TermMap<T>) {
    std::vector<TermEntry> entries;
    for (const auto& [key, mapped] : value) {
      entries.push_back({coppice::v1::to_term(key), coppice::v1::to_term(mapped)});
    }
    return Term::map_of(std::move(entries));
  } else if constexpr (detail::TermRange<T>) {
    std::vector<Term> elements;
    for (const auto& element : value) elements.push_back(coppice::v1::to_term(element));
    return Term::list_of(std::move(elements));
  } else if constexpr (detail::TermTupleLike<T>) {
    return detail::reflected_tuple(value, std::make_index_sequence<std::tuple_size<T>::value>{});
  } else {
    return detail::term_of_aggregate(value);
  }
}

}  // namespace v1
}  // namespace coppice
