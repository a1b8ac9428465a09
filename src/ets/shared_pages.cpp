// SPDX-License-Identifier: Apache-2.0
#include "ets/shared_pages.hpp"

#include <algorithm>

namespace coppice::otp::pages {
namespace {

constexpr std::uint32_t page_max = 31;  // objects; a page without pages below fits into 504 bytes
constexpr std::uint32_t page_min = 15;
constexpr std::size_t height_max = 16;  // of 16 and more ways each

struct Spot {
  std::uint32_t index;  // of the first object that is not before the position
  bool equal;           // it is at the position
};

const SharedObject& object_at(const Page& page, std::uint32_t index) noexcept {
  return *object_of(load(page.objects()[index]));
}

template <class Compare>
Spot spot_in(const Page& page, std::uint64_t rank, bool exact, Compare compare) {
  const std::uint64_t* ranks = page.ranks();
  const std::uint64_t* base = ranks;
  for (std::uint32_t length = page.count; length > 1;) {
    const std::uint32_t half = length / 2;
    base += base[half - 1] < rank ? half : 0;
    length -= half;
  }
  auto low = static_cast<std::uint32_t>(base - ranks) + (*base < rank ? 1 : 0);
  if (exact) return {low, low < page.count && ranks[low] == rank};
  std::uint32_t high = low;
  while (high < page.count && ranks[high] == rank) ++high;
  while (low < high) {
    const std::uint32_t middle = (low + high) / 2;
    const int side = compare(object_at(page, middle));
    if (side == 0) return {middle, true};
    if (side < 0) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return {low, false};
}

// The ranks and the objects: which of them the search will read is known only when it has read others, and then each line
// would be waited for.
void prefetch(Link page) noexcept {
  const auto* begin = node_of<const std::byte>(page);
  for (int line = 0; line < 8; ++line) __builtin_prefetch(begin + 64 * line);
}

Link child_of(const Page& page, std::uint32_t index) noexcept {
  return page.inner ? load(page.children()[index]) : no_link;
}

}  // namespace

// -- reading ----------------------------------------------------------------------------------------------------------

const SharedObject* find(Link root, const Probe& probe) {
  while (root != no_link) {
    prefetch(root);
    const Page& page = page_of(root);
    const Spot spot = spot_in(page, probe.rank, probe.exact,
                              [&](const SharedObject& object) { return probe.compare(probe.key, object); });
    if (spot.equal) return &object_at(page, spot.index);
    root = child_of(page, spot.index);
  }
  return nullptr;
}

const SharedObject* first(Link root) {
  const SharedObject* best = nullptr;
  for (; root != no_link; root = child_of(page_of(root), 0)) best = &object_at(page_of(root), 0);
  return best;
}

const SharedObject* last(Link root) {
  const SharedObject* best = nullptr;
  for (; root != no_link; root = child_of(page_of(root), page_of(root).count)) {
    best = &object_at(page_of(root), page_of(root).count - 1u);
  }
  return best;
}

const SharedObject* after(Link root, const Position& position) {
  const SharedObject* best = nullptr;
  while (root != no_link) {
    const Page& page = page_of(root);
    const Spot spot = spot_in(page, position.rank, position.exact, position.compare);
    const std::uint32_t index = spot.index + (spot.equal ? 1 : 0);
    if (index < page.count) best = &object_at(page, index);
    root = child_of(page, index);
  }
  return best;
}

const SharedObject* before(Link root, const Position& position) {
  const SharedObject* best = nullptr;
  while (root != no_link) {
    const Page& page = page_of(root);
    const Spot spot = spot_in(page, position.rank, position.exact, position.compare);
    if (spot.index > 0) best = &object_at(page, spot.index - 1);
    root = child_of(page, spot.index);
  }
  return best;
}

bool for_each(Link root, FunctionRef<bool(const SharedObject&)> see) {
  if (root == no_link) return true;
  const Page& page = page_of(root);
  for (std::uint32_t i = 0; i < page.count; ++i) {
    if (!for_each(child_of(page, i), see) || !see(object_at(page, i))) return false;
  }
  return for_each(child_of(page, page.count), see);
}

// -- changing ---------------------------------------------------------------------------------------------------------

namespace {

// What a page is to hold; one that is too full, or two and what is between them, fit too.
struct Draft {
  static constexpr std::size_t room = 2 * page_max + 2;
  bool inner = false;
  std::uint32_t count = 0;
  std::array<std::uint64_t, room> ranks;
  std::array<Link, room> objects;
  std::array<Link, room + 1> children;

  void append(const Page& page) noexcept {
    inner = page.inner;
    std::copy_n(page.ranks(), page.count, ranks.begin() + count);
    for (std::uint32_t i = 0; i < page.count; ++i) objects[count + i] = load(page.objects()[i]);
    for (std::uint32_t i = 0; inner && i <= page.count; ++i) children[count + i] = load(page.children()[i]);
    count += page.count;
  }
  void append(std::uint64_t rank, Link object) noexcept {
    ranks[count] = rank;
    objects[count++] = object;
  }
  void append(const Draft& other) noexcept {
    std::copy_n(other.ranks.begin(), other.count, ranks.begin() + count);
    std::copy_n(other.objects.begin(), other.count, objects.begin() + count);
    if (inner) std::copy_n(other.children.begin(), other.count + 1, children.begin() + count);
    count += other.count;
  }
  // An object, and the page behind it.
  void insert(std::uint32_t at, std::uint64_t rank, Link object, Link child) noexcept {
    std::copy_backward(ranks.begin() + at, ranks.begin() + count, ranks.begin() + count + 1);
    std::copy_backward(objects.begin() + at, objects.begin() + count, objects.begin() + count + 1);
    if (inner) {
      std::copy_backward(children.begin() + at + 1, children.begin() + count + 1, children.begin() + count + 2);
      children[at + 1] = child;
    }
    ranks[at] = rank;
    objects[at] = object;
    ++count;
  }
  void erase(std::uint32_t at) noexcept {
    std::copy(ranks.begin() + at + 1, ranks.begin() + count, ranks.begin() + at);
    std::copy(objects.begin() + at + 1, objects.begin() + count, objects.begin() + at);
    if (inner) std::copy(children.begin() + at + 2, children.begin() + count + 1, children.begin() + at + 1);
    --count;
  }
  [[nodiscard]] Link make(Change& change, std::uint32_t from, std::uint32_t to) const {
    return change.make_page(to - from, ranks.data() + from, objects.data() + from,
                            inner ? children.data() + from : nullptr);
  }
  [[nodiscard]] Link make(Change& change) const { return make(change, 0, count); }
};

// The way from the root to an object, or to where it would stand.
struct Path {
  struct Step {
    Slot* slot;  // from which the page was loaded
    Link page;
    std::uint32_t index;  // of the next page, or, in the last step, of the object
  };
  std::array<Step, height_max> steps;
  std::size_t depth = 0;
  bool equal = false;

  [[nodiscard]] Step& last() noexcept { return steps[depth - 1]; }
};

Path path_to(Slot& root, const SharedObject& object) {
  Path path;
  const std::uint64_t rank = object.ops->rank(object);
  Slot* slot = &root;
  for (Link link = load(root); link != no_link;) {
    const Page& page = page_of(link);
    const Spot spot = spot_in(page, rank, object.ops->exact,
                              [&](const SharedObject& other) { return object.ops->compare(object, other); });
    path.steps[path.depth++] = {slot, link, spot.index};
    path.equal = spot.equal;
    if (spot.equal || !page.inner) break;
    slot = page.children() + spot.index;
    link = load(*slot);
  }
  return path;
}

Draft draft_of(const Path::Step& step) noexcept {
  Draft draft;
  draft.append(page_of(step.page));
  return draft;
}

// What stands at one level of the path is exchanged for `page`: by a store to its slot, or all the way up.
Swap set_page(Change& change, const Path& path, std::size_t level, Link page, How how) {
  if (how == How::beside) {
    while (level > 0) {
      const Path::Step& above = path.steps[--level];
      if (Change::is_own(above.page)) {
        page_of(above.page).children()[above.index].store(page, std::memory_order_relaxed);
        page = above.page;
        continue;
      }
      Draft draft = draft_of(above);
      draft.children[above.index] = page;
      change.replace(above.page);
      page = draft.make(change);
    }
  }
  return {path.steps[level].slot, page};
}

// Behind all other objects?
bool is_at_end(const Path& path) noexcept {
  return std::all_of(path.steps.begin(), path.steps.begin() + static_cast<std::ptrdiff_t>(path.depth),
                     [](const Path::Step& step) { return step.index == page_of(step.page).count; });
}

}  // namespace

Swap insert(Change& change, Slot& root, const SharedObject* object, How how) {
  std::uint64_t rank = object->ops->rank(*object);
  Link between = link_to(object);
  Path path = path_to(root, *object);
  if (path.depth == 0) return {&root, change.make_page(1, &rank, &between, nullptr)};
  const bool at_end = is_at_end(path);
  std::size_t level = path.depth - 1;
  Link behind = no_link;  // of a page that was divided, the second half
  Draft draft = draft_of(path.last());
  for (;;) {
    const std::uint32_t at = path.steps[level].index;
    draft.insert(at, rank, between, behind);
    change.replace(path.steps[level].page);
    if (draft.count <= page_max) return set_page(change, path, level, draft.make(change), how);
    const std::uint32_t middle = at_end ? draft.count - 2 : draft.count / 2;  // keys that come in order fill pages
    const Link half = draft.make(change, 0, middle);
    behind = draft.make(change, middle + 1, draft.count);
    rank = draft.ranks[middle];
    between = draft.objects[middle];
    if (level == 0) {
      const Link halves[] = {half, behind};
      return {path.steps[0].slot, change.make_page(1, &rank, &between, halves)};
    }
    --level;
    draft = draft_of(path.steps[level]);
    draft.children[path.steps[level].index] = half;
  }
}

Swap exchange(Change& change, Slot& root, const SharedObject& old, const SharedObject* object, How how) {
  const Path path = path_to(root, old);
  const Path::Step& at = path.steps[path.depth - 1];
  if (how == How::in_place) return {page_of(at.page).objects() + at.index, link_to(object)};
  Draft draft = draft_of(at);
  draft.objects[at.index] = link_to(object);
  change.replace(at.page);
  return set_page(change, path, path.depth - 1, draft.make(change), how);
}

namespace {

// The drafts of a page that has too few objects and of the one above it: joins it with a neighbour, or shares out what
// both have. Leaves the draft of the page above.
void join_with_neighbour(Change& change, const Draft& small, Draft& above, std::uint32_t index) {
  const std::uint32_t left = index > 0 ? index - 1 : index;
  const Link neighbour = above.children[index > 0 ? index - 1 : index + 1];
  Draft both;
  both.inner = small.inner;
  if (index > 0) {
    both.append(page_of(neighbour));
    both.append(above.ranks[left], above.objects[left]);
    both.append(small);
  } else {
    both.append(small);
    both.append(above.ranks[left], above.objects[left]);
    both.append(page_of(neighbour));
  }
  change.replace(neighbour);
  if (both.count <= page_max) {
    above.erase(left);
    above.children[left] = both.make(change);
    return;
  }
  const std::uint32_t middle = both.count / 2;
  above.children[left] = both.make(change, 0, middle);
  above.ranks[left] = both.ranks[middle];
  above.objects[left] = both.objects[middle];
  above.children[left + 1] = both.make(change, middle + 1, both.count);
}

}  // namespace

// An object that stands between pages is replaced by the one before it, which comes from the lowest page: the store is
// made no lower than where that object stood.
Swap remove(Change& change, Slot& root, const SharedObject& object, How how) {
  Path path = path_to(root, object);
  const std::size_t found = path.depth - 1;
  const std::uint32_t found_at = path.last().index;
  while (page_of(path.last().page).inner) {
    const Page& page = page_of(path.last().page);
    Slot* slot = page.children() + path.last().index;
    const Link below = load(*slot);
    path.steps[path.depth++] = {slot, below, page_of(below).count};
  }
  std::size_t level = path.depth - 1;
  Draft draft = draft_of(path.steps[level]);
  if (level > found) path.steps[level].index = draft.count - 1;
  const std::uint64_t rank = draft.ranks[path.steps[level].index];
  const Link successor = draft.objects[path.steps[level].index];
  draft.erase(path.steps[level].index);
  for (;;) {
    change.replace(path.steps[level].page);
    if (level == 0) {
      if (draft.count > 0) return {path.steps[0].slot, draft.make(change)};
      return {path.steps[0].slot, draft.inner ? draft.children[0] : no_link};
    }
    const bool enough = draft.count >= page_min;
    if (enough && level <= found) return set_page(change, path, level, draft.make(change), how);
    const std::uint32_t index = path.steps[level - 1].index;
    Draft above = draft_of(path.steps[level - 1]);
    if (level - 1 == found) {
      above.ranks[found_at] = rank;
      above.objects[found_at] = successor;
    }
    if (enough) {
      above.children[index] = draft.make(change);
    } else {
      join_with_neighbour(change, draft, above, index);
    }
    draft = above;
    --level;
  }
}

}  // namespace coppice::otp::pages
