"""What detects an attack: filters, patterns, queries and alarm rules, evaluated on the record that the attack leaves.

The package knows the languages of CloudWatch and EventBridge and nothing of facts, rules or reports. Each answer
has three values: True and False are proven by what AWS documents, None says that the documentation leaves it open.
What cannot be read at all is :class:`Unparsable`.
"""

from auditor.detection.events import Event, EventClass, by_others, classes, event, read_event, read_events
from auditor.detection.logic import Unparsable

__all__ = ["Event", "EventClass", "Unparsable", "by_others", "classes", "event", "read_event", "read_events"]
