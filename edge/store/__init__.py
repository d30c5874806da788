"""What the logger keeps on its own disk: two SQLite files, one thread that writes them, one module per kind of data.

    store                  the thread, group commit, the lock on data_dir
    database, migrate      opening, checking, migrating; errors
    records                sealed statistics
    outbox                 deliveries and packets until the platform answers; made of delivery, answers, tally, qn
    settings               what a platform set
    journal                who changed what, chained
    connection, evidence   official connection time, in the table and in connection.jsonl
    links                  runs, connections of each link, sums of each hour
    samples, linklog       5 s samples, last packets (samples.db)
    retention              what goes when

Every function takes the connection first and is one transaction: `await store.do(records.seal, …)`.
"""
