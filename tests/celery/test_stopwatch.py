from tests.celery.rig import Rig


def test_a_pool_process_tells_at_its_end_what_its_tasks_took(rig: Rig) -> None:
    (worker,) = rig.start("worker --role cpu --concurrency 1")
    assert rig.publish("toil", "a", 0.2)
    assert rig.publish("toil", "b", 0.3)
    assert rig.publish("sleep", "c", 0.1)
    rig.wait_for("toiled", "a", "b")
    rig.wait_for("end", "c")
    assert worker.stop() == 0
    told = {record["task"]: record for record in worker.records() if "cpu_seconds" in record}
    assert {task: record["runs"] for task, record in told.items()} == {
        "probe.toil": 2,
        "probe.sleep": 1,
    }
    assert told["probe.toil"]["cpu_seconds"] >= 0.5
    assert told["probe.sleep"]["cpu_seconds"] < told["probe.toil"]["cpu_seconds"]
