# docs: the tables of README.md and the man pages come from the code's own tables (make docs); lint checks that they are fresh.
docs: $(HOLDFAST) ## write the option, exit-code and phase tables into README.md and the man pages, schema and table of the chart
	@python3 docs/tables.py '$(HOLDFAST)'
	@python3 docs/chart.py
.PHONY: docs

tour: $(HOLDFAST) ## provoke every failure of docs/troubleshooting.md and write it anew; root sees all of them
	@python3 docs/tour.py '$(HOLDFAST)'
tour-check: $(HOLDFAST) ## provoke them, and compare with docs/troubleshooting.md
	@python3 docs/tour.py --check '$(HOLDFAST)'
.PHONY: tour tour-check
