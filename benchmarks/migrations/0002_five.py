from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]
    operations = [
        migrations.AddField("note", "colour", models.CharField(default="red", max_length=20)),
        migrations.AddField("note", "rank", models.IntegerField(default=0, db_index=True)),
        migrations.CreateModel(
            "Tag",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("note", models.ForeignKey("notes.note", models.CASCADE)),
            ],
        ),
        migrations.AddConstraint("note", models.UniqueConstraint(fields=["rank", "text", "id"], name="once")),
        migrations.AlterField("note", "text", models.CharField(max_length=200)),
    ]
