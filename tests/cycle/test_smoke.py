def test_quiet(office):
    before = office.everything()
    runs = office.run()
    assert [r.outcome for r in runs] == ["ok"]*3, [r.problem for r in runs]
    assert office.everything() == before
