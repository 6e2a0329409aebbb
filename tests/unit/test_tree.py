from hypothesis import given
from hypothesis import strategies as st

from gitops_run.model.tree.tree import Plan, diff

trees = st.dictionaries(st.text("ab/", min_size=1, max_size=4), st.sampled_from(["1", "2", "3"]), max_size=6)


@given(trees)
def test_a_tree_needs_nothing_to_become_itself(tree: dict[str, str]) -> None:
    assert diff(tree, tree) == Plan()


@given(trees, trees)
def test_carrying_out_the_plan_gives_the_new_tree(old: dict[str, str], new: dict[str, str]) -> None:
    plan = diff(old, new)
    result = {path: digest for path, digest in old.items() if path not in plan.deletes}
    result |= {path: new[path] for path in plan.puts}
    assert result == new
