# docs: the tables of README.md and the man pages come from the code's own tables (make docs); lint checks that they are fresh.
docs: $(HOLDFAST) ## write the option, exit-code and phase tables into README.md and the man pages, schema and table of the chart
	@python3 docs/tables.py '$(HOLDFAST)'
	@python3 docs/chart.py
.PHONY: docs
