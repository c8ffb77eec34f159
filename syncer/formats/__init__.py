"""Files that hold contacts: CSV, XLSX and vCard are taken apart and written here, JSON is written. What they mean is left to `core`."""
