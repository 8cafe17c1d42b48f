from service.fairness import FORGET_ABOVE, FairQueue


def take_all(queue):
    taken = []
    while queue:
        taken.append(queue.pop(queue.first()).item)
    return taken


def test_flows_take_turns_however_much_one_of_them_brings():
    queue = FairQueue()
    for i in range(4):
        queue.put("work", "greedy", 1.0, f"greedy {i}")
    queue.put("work", "other", 1.0, "other 0")
    queue.put("work", "third", 1.0, "third 0")
    assert take_all(queue) == ["greedy 0", "other 0", "third 0", "greedy 1", "greedy 2", "greedy 3"]


def test_who_comes_later_waits_for_one_item_of_the_flow_that_is_being_served():
    queue = FairQueue()
    for i in range(8):
        queue.put("work", "greedy", 1.0, f"greedy {i}")
    for _ in range(4):
        queue.pop("work")
    queue.put("work", "late", 1.0, "late")
    assert take_all(queue)[:3] == ["greedy 4", "late", "greedy 5"]


def test_costly_items_count_as_much_as_they_cost():
    queue = FairQueue()
    for i in range(3):
        queue.put("work", "costly", 4.0, f"costly {i}")
    for i in range(8):
        queue.put("work", "cheap", 1.0, f"cheap {i}")
    order = take_all(queue)
    assert (
        order[:9]
        == [*(f"cheap {i}" for i in range(3)), "costly 0", *(f"cheap {i}" for i in range(3, 7)), "costly 1"][:9]
    )


def test_a_flow_is_not_kept_waiting_by_ever_new_flows():
    queue = FairQueue()
    queue.put("work", "old", 1.0, "old 0")
    queue.put("work", "old", 1.0, "old 1")
    taken = []
    for i in range(5):
        queue.put("work", f"new {i}", 1.0, "new")
        taken.append(queue.pop("work").item)
    assert "old 1" in taken


def test_one_flow_is_first_in_first_out_by_key_and_the_key_that_is_first_comes_first():
    queue = FairQueue()
    queue.put("a", 1, 1.0, "a0")
    queue.put("b", 1, 1.0, "b0")
    queue.put("a", 1, 1.0, "a1")
    assert (queue.count("a"), queue.count("b"), queue.count("c"), len(queue)) == (2, 1, 0, 3)
    assert take_all(queue) == ["a0", "b0", "a1"]


def test_what_is_put_back_keeps_its_place():
    queue = FairQueue()
    for i in range(3):
        queue.put("work", i, 1.0, i)
    first = queue.pop("work")
    second = queue.pop("work")
    queue.put_back("work", second)
    queue.put_back("work", first)
    assert take_all(queue) == [0, 1, 2]


def test_flows_without_work_are_forgotten():
    queue = FairQueue()
    queue.put("work", "always", 1e9, "one")
    queue.put("work", "always", 1e9, "two")
    for i in range(10 * FORGET_ABOVE):
        queue.put("work", i, 1e-6, i)
        queue.pop("work")
    assert len(queue._ends) <= FORGET_ABOVE + 1
