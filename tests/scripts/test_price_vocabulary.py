def test_settings_of_training_and_a_list_are_refused_for_they_change_nothing(script_here):
    for flag, value in (("--rounds", "3"), ("--data.vocabulary-path", "words.txt"), ("--privacy.delta", "0.1")):
        done = script_here("price_vocabulary.py", flag, value)
        assert done.returncode == 2 and done.stderr.startswith(f"error: {flag}") and done.stderr.count("\n") == 1


def test_an_epsilon_of_nothing_is_refused(script_here):
    done = script_here("price_vocabulary.py", "--epsilons", "1", "0")
    assert done.returncode == 2 and done.stderr == "error: --epsilons: expected a number > 0, found 0.0\n"
